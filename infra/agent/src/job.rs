//! One message, from claim to its end.
//!
//! ```text
//! claimed ─► working (heartbeats beside it) ─► confirmed ─► sent ─► finishing ─► done
//!    └──────────┴── lease lost, trust over ────────┴──────────┴────────┴──► given up (nothing more is sent)
//! ```
//!
//! A message that was sent and then given up may be handed out to us again: it goes straight on to finishing.

use std::future::Future;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::api::{Api, ApiError};
use crate::backoff::Backoff;
use crate::delivered::{Delivered, Reply};
use crate::engine::{Engine, EngineError, Progress};
use crate::lease::Lease;
use crate::reply::{Chat, Courier, Undelivered};
use crate::skills::Skills;
use crate::snapshot::Files;
use crate::wire::{Bundle, CompleteRequest, FailRequest, HistoryEntry};

/// Longest reason given for a failure, in characters.
const REASON_CHARS_MAX: usize = 2_000;

/// How a job ended for us.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The server knows its outcome.
    Done,
    /// The lease is lost, or we could not tell the server in time. It will notice by itself.
    GivenUp,
    /// The server denies us.
    Denied {
        /// 401 or 403.
        status: u16,
    },
}

/// What the server shall be told.
#[derive(Debug)]
enum Outcome {
    /// A reply, blank when there is none.
    Reply(Reply),
    /// No reply, and why.
    Failure { reason: String, retryable: bool },
    /// No reply, because we have to leave.
    Drained,
}

impl Outcome {
    fn failure(reason: &str, retryable: bool) -> Self {
        Self::Failure { reason: reason.chars().take(REASON_CHARS_MAX).collect(), retryable }
    }
}

impl From<Undelivered> for Outcome {
    fn from(undelivered: Undelivered) -> Self {
        Self::failure(&undelivered.reason, undelivered.retryable)
    }
}

/// The server has nothing more to be told.
enum Over {
    Lost,
    Denied { status: u16 },
}

impl From<Over> for End {
    fn from(over: Over) -> Self {
        match over {
            Over::Lost => Self::GivenUp,
            Over::Denied { status } => Self::Denied { status },
        }
    }
}

/// What a heartbeat was answered.
enum Beat {
    Held,
    NotHeld,
    Cancelled,
}

/// A job in work.
pub struct Work<'a> {
    pub api: &'a Api,
    pub engine: &'a dyn Engine,
    pub courier: &'a Courier,
    pub lease: &'a Lease,
    pub delivered: &'a Delivered,
    /// The data folder, which must hold the conversation's files before the engine begins.
    pub files: Option<&'a Files>,
    /// The skills, which lie in the data folder and are none of the conversation's files.
    pub skills: Option<&'a Mutex<Skills>>,
}

impl Work<'_> {
    /// Works on the message until its end. `sure` says that the lease was new when the poll was answered; else
    /// its age is unknown and the first heartbeat goes out at once. `cut_off` ends when the worker must not work
    /// any longer; a reply that is being sent by then is still sent to its end.
    pub async fn run(&self, bundle: Option<&Bundle>, sure: bool, cut_off: impl Future<Output = ()>) -> End {
        let message_id = &*self.lease.job().message_id;
        let progress = Progress::default();
        let outcome = match (self.delivered.of(message_id), bundle) {
            (Some(reply), _) => {
                tracing::info!(message_id, "the reply was delivered before, only the server is told");
                Ok(Outcome::Reply(reply))
            }
            (None, None) => Ok(Outcome::failure("the server handed out no hydration bundle", true)),
            (None, Some(bundle)) => tokio::select! {
                biased; // A lease that is over is over, also when the reply comes at the same moment.
                outcome = self.keep(&progress, sure) => outcome,
                outcome = self.answer(bundle, &progress, cut_off) => outcome,
            },
        };
        let end = match outcome {
            Err(over) => Err(over),
            Ok(outcome) => {
                let finish = self.finish(outcome);
                timeout_at(self.lease.trusted_until(), finish).await.unwrap_or(Err(Over::Lost))
            }
        };
        if end.is_ok() {
            // Whoever hands the message out once more knows of its outcome, and wants a new one.
            self.delivered.forget(message_id);
        }
        end.map_or_else(End::from, |()| End::Done)
    }

    /// Keeps the lease. Ends only when the work must stop: trust over, lease lost, message cancelled.
    async fn keep(&self, progress: &Progress, sure: bool) -> Result<Outcome, Over> {
        let mut backoff = Backoff::new();
        let mut due = if sure { self.lease.heartbeat_due() } else { Instant::now() };
        loop {
            let next = async {
                sleep_until(due).await;
                self.beat(progress).await
            };
            due = match timeout_at(self.lease.trusted_until(), next).await {
                // The work beside us may have renewed the lease meanwhile.
                Err(_) if Instant::now() < self.lease.trusted_until() => self.lease.heartbeat_due(),
                Err(_) => return Err(self.lost("no heartbeat succeeded in time")),
                Ok(Ok(Beat::Held)) => {
                    backoff.reset();
                    self.lease.heartbeat_due()
                }
                Ok(Ok(Beat::NotHeld)) => return Err(self.lost("the server says so")),
                Ok(Ok(Beat::Cancelled)) => return Ok(Outcome::failure("cancelled", false)),
                Ok(Err(error)) => Instant::now() + self.wait_after(&error, &mut backoff)?,
            };
        }
    }

    /// Makes the reply and brings it to the user. `cut_off` ends it only before anything is sent: of a sending
    /// that is dropped half way nobody knows what has arrived, so the message could not be handed back.
    async fn answer(
        &self,
        bundle: &Bundle,
        progress: &Progress,
        cut_off: impl Future<Output = ()>,
    ) -> Result<Outcome, Over> {
        let claimed_at = self.lease.server_now_ms();
        let chat = match self.courier.chat(bundle) {
            Ok(chat) => chat,
            Err(undelivered) => return Ok(undelivered.into()),
        };
        let text = tokio::select! {
            biased; // Also when the reply comes at the same moment: there is no time left to send it.
            () = cut_off => {
                return Ok(Outcome::Drained);
            }
            text = self.make(bundle, chat.as_ref(), progress) => match text? {
                Ok(text) => text,
                Err(outcome) => return Ok(outcome),
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

    /// The reply's text, confirmed when it is to be sent; or the outcome that it cannot be made or sent.
    async fn make(
        &self,
        bundle: &Bundle,
        chat: Option<&Chat>,
        progress: &Progress,
    ) -> Result<Result<String, Outcome>, Over> {
        let text = tokio::select! {
            text = self.run_engine(bundle, progress) => text,
            never = typing(chat) => match never {},
        };
        let text = match text {
            Ok(text) => text,
            Err(error) => return Ok(Err(Outcome::failure(&error.reason, error.retryable))),
        };
        let cancelled = match chat.filter(|_| is_shown(&text)) {
            Some(_) => self.confirm(progress).await?,
            None => None,
        };
        Ok(cancelled.map_or(Ok(text), Err))
    }

    /// Runs the engine on the conversation's files. While they are being restored, the lease is kept as ever.
    async fn run_engine(&self, bundle: &Bundle, progress: &Progress) -> Result<String, EngineError> {
        self.furnish().await.map_err(|error| {
            tracing::error!(error = &*error, "the data folder could not be made ready");
            let reason = format!("the conversation's files could not be restored: {error}");
            EngineError { reason, retryable: true }
        })?;
        self.engine.answer(bundle, progress).await
    }

    /// Restores the conversation's files if others are there, and the skills, which went with those.
    async fn furnish(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let Some(files) = self.files else { return Ok(()) };
        if files.ensure(self.api, &self.lease.job().conversation_id).await?
            && let Some(skills) = self.skills
        {
            skills.lock().await.again(self.api).await?;
        }
        Ok(())
    }

    /// Makes sure, right before something is sent, that the lease is still ours; `Some` when the message was
    /// cancelled. [`Self::keep`] runs beside and bounds the tries.
    async fn confirm(&self, progress: &Progress) -> Result<Option<Outcome>, Over> {
        let mut backoff = Backoff::new();
        loop {
            match self.beat(progress).await {
                Ok(Beat::Held) => return Ok(None),
                Ok(Beat::NotHeld) => return Err(self.lost("the server says so")),
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

    /// Tells the server, again and again until it has heard. The caller bounds the tries by the trust's end.
    async fn finish(&self, mut outcome: Outcome) -> Result<(), Over> {
        let mut backoff = Backoff::new();
        loop {
            let error = match self.tell(&outcome).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match (&error, &outcome) {
                // A reply that the server will not take must not come again and again.
                (ApiError::Refused { .. }, Outcome::Reply(_)) => {
                    outcome = Outcome::failure(&format!("the reply could not be recorded: {error}"), false);
                }
                _ => sleep(self.wait_after(&error, &mut backoff)?).await,
            }
        }
    }

    async fn tell(&self, outcome: &Outcome) -> Result<(), ApiError> {
        let job = self.lease.job();
        let (lease_id, fence) = (&*job.lease_id, job.fence);
        match outcome {
            Outcome::Reply(Reply { question, claimed_at, text, at }) => {
                let reply = Some(&**text).filter(|text| is_shown(text));
                let asked = HistoryEntry { role: "user", content: question, at: *claimed_at };
                let answered = reply.map(|content| HistoryEntry { role: "assistant", content, at: *at });
                let history = [asked].into_iter().chain(answered).collect();
                self.api.complete(job, &CompleteRequest { lease_id, fence, history, reply }).await
            }
            Outcome::Failure { reason, retryable } => {
                let (error_message, retryable) = (&**reason, *retryable);
                let request = FailRequest { lease_id, fence, error_message, retryable, drained: false };
                self.api.fail(job, &request).await
            }
            Outcome::Drained => {
                let error_message = "the worker had to shut down before the message was done";
                let request = FailRequest { lease_id, fence, error_message, retryable: true, drained: true };
                self.api.fail(job, &request).await
            }
        }
    }

    /// How long to wait after this error, or that there is nothing to wait for.
    fn wait_after(&self, error: &ApiError, backoff: &mut Backoff) -> Result<std::time::Duration, Over> {
        match error {
            ApiError::Denied { status } => Err(Over::Denied { status: *status }),
            _ => error.retry_in(backoff.next()).ok_or_else(|| self.lost(&error.to_string())),
        }
    }

    fn lost(&self, why: &str) -> Over {
        let job = self.lease.job();
        tracing::warn!(
            message_id = job.message_id,
            fence = job.fence,
            why,
            "the lease is lost, the message is given up"
        );
        Over::Lost
    }
}

/// Whether there is anything to send: a blank reply is none.
fn is_shown(text: &str) -> bool {
    !text.trim().is_empty()
}

async fn typing(chat: Option<&Chat>) -> std::convert::Infallible {
    match chat {
        Some(chat) => chat.typing().await,
        None => std::future::pending().await,
    }
}
