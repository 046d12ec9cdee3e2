//! One message, from its claim to its end.
//!
//! ```text
//! claimed ─► working (with heartbeats) ─► confirmed ─► sent ─► finishing ─► done
//!    └──────────┴── lease lost, trust ended ──┴──────────┴────────┴──► given up (nothing more is sent)
//! ```
//!
//! The server may hand out a message again after its reply was sent and the message was given up. Such a message
//! continues directly with finishing.

use std::collections::BTreeMap;
use std::future::Future;

use af_api::worker::history::HistoryEntry;
use af_api::worker::outcome::{CompleteRequest, FailRequest};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::api::{Api, ApiError};
use crate::backoff::Backoff;
use crate::delivered::{Delivered, Reply};
use crate::engine::{Engine, EngineError, Progress};
use crate::hydration::ReceivedBundle;
use crate::lease::Lease;
use crate::reply::{Chat, Courier, Undelivered};
use crate::skills::Skills;
use crate::snapshot::Files;

/// Longest reason of a failure, in characters.
const MAX_REASON_CHARS: usize = 2_000;

/// How a job ended for the worker.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The server knows the outcome.
    Done,
    /// The lease is lost, or the outcome did not reach the server in time. The server handles the message without it.
    GivenUp,
    /// The server denies this worker.
    Denied {
        /// 401 or 403.
        status: u16,
    },
}

/// The outcome to report to the server.
#[derive(Debug)]
enum Outcome {
    /// A reply; blank when there is none.
    Reply(Reply),
    /// No reply, and the reason.
    Failure { reason: String, retryable: bool },
    /// No reply, because the worker must stop.
    Drained,
}

impl Outcome {
    fn failure(reason: &str, retryable: bool) -> Self {
        Self::Failure { reason: reason.chars().take(MAX_REASON_CHARS).collect(), retryable }
    }
}

impl From<Undelivered> for Outcome {
    fn from(undelivered: Undelivered) -> Self {
        Self::failure(&undelivered.reason, undelivered.retryable)
    }
}

/// Why the worker cannot report to the server any more.
enum Abandoned {
    Lost,
    Denied { status: u16 },
}

impl From<Abandoned> for End {
    fn from(abandoned: Abandoned) -> Self {
        match abandoned {
            Abandoned::Lost => Self::GivenUp,
            Abandoned::Denied { status } => Self::Denied { status },
        }
    }
}

/// The answer to a heartbeat.
enum Beat {
    Held,
    NotHeld,
    Cancelled,
}

/// An engine's reply, or the outcome without one.
enum Made {
    /// The text of the reply.
    Text(String),
    /// The message ends without a reply.
    NoReply(Outcome),
}

/// A running job.
pub struct Work<'a> {
    pub api: &'a Api,
    pub engine: &'a dyn Engine,
    pub courier: &'a Courier,
    pub lease: &'a Lease,
    pub delivered: &'a Delivered,
    /// The data folder, which must hold the conversation's files before the engine starts.
    pub files: Option<&'a Files>,
    /// The skills, which are in the data folder and do not belong to the conversation.
    pub skills: Option<&'a Mutex<Skills>>,
}

impl Work<'_> {
    /// Runs the message to its end. If `is_new_lease` is false, the age of the lease is unknown and the first heartbeat
    /// is sent at once. `cut_off` ends when the worker must not run the message any longer. A reply whose sending has
    /// begun by then is still sent completely.
    pub async fn run(
        &self,
        bundle: Option<&ReceivedBundle>,
        is_new_lease: bool,
        cut_off: impl Future<Output = ()>,
    ) -> End {
        let message_id = &*self.lease.job().message_id;
        let progress = Progress::default();
        let outcome = match (self.delivered.of(message_id), bundle) {
            (Some(reply), _) => {
                tracing::info!(
                    message_id,
                    "the reply was delivered before, so only its message is completed"
                );
                Ok(Outcome::Reply(reply))
            }
            (None, None) => Ok(Outcome::failure("the server sent no hydration bundle", true)),
            (None, Some(bundle)) => tokio::select! {
                biased; // If the lease is lost at the moment when the reply is ready, the loss wins.
                outcome = self.keep_lease(&progress, is_new_lease) => outcome,
                outcome = self.answer(bundle, &progress, cut_off) => outcome,
            },
        };
        let end = match outcome {
            Err(abandoned) => Err(abandoned),
            Ok(outcome) => {
                let finish = self.finish(outcome);
                timeout_at(self.lease.trusted_until(), finish).await.unwrap_or(Err(Abandoned::Lost))
            }
        };
        if end.is_ok() {
            // The server knows the outcome. If it hands out the message again, a new reply is wanted.
            self.delivered.forget(message_id);
        }
        end.map_or_else(End::from, |()| End::Done)
    }

    /// Sends heartbeats. Ends only when the work must stop: the trust ended, the lease is lost, or the message was
    /// cancelled.
    async fn keep_lease(&self, progress: &Progress, is_new_lease: bool) -> Result<Outcome, Abandoned> {
        let mut backoff = Backoff::new();
        let mut due = if is_new_lease { self.lease.heartbeat_due() } else { Instant::now() };
        loop {
            let next = async {
                sleep_until(due).await;
                self.beat(progress).await
            };
            due = match timeout_at(self.lease.trusted_until(), next).await {
                // The concurrent work may have renewed the lease in the meantime.
                Err(_) if Instant::now() < self.lease.trusted_until() => self.lease.heartbeat_due(),
                Err(_) => return Err(self.lost("no heartbeat succeeded in time")),
                Ok(Ok(Beat::Held)) => {
                    backoff.reset();
                    self.lease.heartbeat_due()
                }
                Ok(Ok(Beat::NotHeld)) => {
                    return Err(self.lost("the server answered that the lease is not held"));
                }
                Ok(Ok(Beat::Cancelled)) => return Ok(Outcome::failure("cancelled", false)),
                Ok(Err(error)) => Instant::now() + self.wait_after(&error, &mut backoff)?,
            };
        }
    }

    /// Makes the reply and delivers it to the user. `cut_off` applies only before anything is sent: an interrupted sending
    /// may have arrived in part, and then the message cannot be handed back.
    async fn answer(
        &self,
        bundle: &ReceivedBundle,
        progress: &Progress,
        cut_off: impl Future<Output = ()>,
    ) -> Result<Outcome, Abandoned> {
        let claimed_at = self.lease.server_now_ms();
        let chat = match self.courier.chat(bundle) {
            Ok(chat) => chat,
            Err(undelivered) => return Ok(undelivered.into()),
        };
        let text = tokio::select! {
            biased; // If the reply is ready at the same moment, there is no time left to send it.
            () = cut_off => {
                return Ok(Outcome::Drained);
            }
            made = self.make(bundle, chat.as_ref(), progress) => match made? {
                Made::Text(text) => text,
                Made::NoReply(outcome) => return Ok(outcome),
            },
        };
        let chat = chat.filter(|_| is_shown(&text));
        if let Some(chat) = &chat
            && let Err(undelivered) = chat.send(&text, self.engine.markup()).await
        {
            return Ok(undelivered.into());
        }
        let question = bundle.payload.message_text.clone();
        let reply = Reply { question, claimed_at, text, at: self.lease.server_now_ms() };
        if chat.is_some() {
            self.delivered.note(&self.lease.job().message_id, &reply);
        }
        Ok(Outcome::Reply(reply))
    }

    /// Makes the reply. If the worker sends it itself, the lease is confirmed before that.
    async fn make(
        &self,
        bundle: &ReceivedBundle,
        chat: Option<&Chat>,
        progress: &Progress,
    ) -> Result<Made, Abandoned> {
        let text = tokio::select! {
            text = self.run_engine(bundle, progress) => text,
            never = typing(chat) => match never {},
        };
        let text = match text {
            Ok(text) => text,
            Err(error) => return Ok(Made::NoReply(Outcome::failure(&error.reason, error.retryable))),
        };
        let cancelled = match chat.filter(|_| is_shown(&text)) {
            Some(_) => self.confirm(progress).await?,
            None => None,
        };
        Ok(cancelled.map_or(Made::Text(text), Made::NoReply))
    }

    /// Runs the engine on the conversation's files. Heartbeats continue while the files are restored.
    async fn run_engine(&self, bundle: &ReceivedBundle, progress: &Progress) -> Result<String, EngineError> {
        self.prepare_data_folder().await.map_err(|error| {
            tracing::error!(error = &*error, "the data folder could not be prepared");
            let reason = format!("the conversation's files could not be restored: {error}");
            EngineError { reason, retryable: true }
        })?;
        self.engine.answer(bundle, progress).await
    }

    /// Restores the conversation's files if the folder holds others, and then the skills, which the restore removes.
    async fn prepare_data_folder(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let Some(files) = self.files else { return Ok(()) };
        if files.ensure(self.api, &self.lease.job().conversation_id).await?
            && let Some(skills) = self.skills
        {
            skills.lock().await.reinstall(self.api).await?;
        }
        Ok(())
    }

    /// Confirms with a heartbeat, directly before the reply is sent, that the worker still holds the lease. `Some` when the
    /// message was cancelled. [`Self::keep_lease`] runs concurrently and limits the retries.
    async fn confirm(&self, progress: &Progress) -> Result<Option<Outcome>, Abandoned> {
        let mut backoff = Backoff::new();
        loop {
            match self.beat(progress).await {
                Ok(Beat::Held) => return Ok(None),
                Ok(Beat::NotHeld) => return Err(self.lost("the server answered that the lease is not held")),
                Ok(Beat::Cancelled) => return Ok(Some(Outcome::failure("cancelled", false))),
                Err(error) => sleep(self.wait_after(&error, &mut backoff)?).await,
            }
        }
    }

    async fn beat(&self, progress: &Progress) -> Result<Beat, ApiError> {
        let started = Instant::now();
        let answer = self.api.heartbeat(self.lease.job(), progress.take()).await?;
        if !answer.held {
            return Ok(Beat::NotHeld);
        }
        self.lease.renewed(started, &answer);
        Ok(if answer.cancelled { Beat::Cancelled } else { Beat::Held })
    }

    /// Reports the outcome until the server has accepted it. The caller stops the retries when the trust ends.
    async fn finish(&self, mut outcome: Outcome) -> Result<(), Abandoned> {
        let mut backoff = Backoff::new();
        loop {
            let error = match self.report(&outcome).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match (&error, &outcome) {
                // A reply that the server refuses must not make the message come back again and again.
                (ApiError::Refused { .. }, Outcome::Reply(_)) => {
                    outcome = Outcome::failure(&format!("the reply could not be recorded: {error}"), false);
                }
                _ => sleep(self.wait_after(&error, &mut backoff)?).await,
            }
        }
    }

    async fn report(&self, outcome: &Outcome) -> Result<(), ApiError> {
        let job = self.lease.job();
        let (lease_id, fence) = (job.lease_id.clone(), job.fence);
        match outcome {
            Outcome::Reply(Reply { question, claimed_at, text, at }) => {
                let reply = Some(text.clone()).filter(|text| is_shown(text));
                let question = entry("user", question, *claimed_at);
                let answer = reply.as_deref().map(|reply| entry("assistant", reply, *at));
                let history = [question].into_iter().chain(answer).collect();
                let request = CompleteRequest {
                    lease_id,
                    fence,
                    history,
                    pending_tool_calls: None,
                    metadata: BTreeMap::new(),
                    reply,
                };
                self.api.complete(job, &request).await
            }
            Outcome::Failure { reason, retryable } => {
                let (error_message, retryable) = (reason.clone(), *retryable);
                let request = FailRequest { lease_id, fence, error_message, retryable, drained: false };
                self.api.fail(job, &request).await
            }
            Outcome::Drained => {
                let error_message = "the worker had to shut down before the message was done".to_owned();
                let request = FailRequest { lease_id, fence, error_message, retryable: true, drained: true };
                self.api.fail(job, &request).await
            }
        }
    }

    /// How long to wait before a retry after this error.
    fn wait_after(&self, error: &ApiError, backoff: &mut Backoff) -> Result<std::time::Duration, Abandoned> {
        match error {
            ApiError::Denied { status } => Err(Abandoned::Denied { status: *status }),
            _ => error.retry_in(backoff.next()).ok_or_else(|| self.lost(&error.to_string())),
        }
    }

    fn lost(&self, why: &str) -> Abandoned {
        let job = self.lease.job();
        tracing::warn!(
            message_id = job.message_id,
            fence = job.fence,
            why,
            "the lease is lost and the message is given up"
        );
        Abandoned::Lost
    }
}

/// Whether the reply has any text. A blank reply is not sent.
fn is_shown(text: &str) -> bool {
    !text.trim().is_empty()
}

fn entry(role: &str, content: &str, at: u64) -> HistoryEntry {
    HistoryEntry { role: role.to_owned(), content: content.to_owned(), at: Some(at) }
}

async fn typing(chat: Option<&Chat>) -> std::convert::Infallible {
    match chat {
        Some(chat) => chat.typing().await,
        None => std::future::pending().await,
    }
}
