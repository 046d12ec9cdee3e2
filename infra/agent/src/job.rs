//! One message, from its claim to its end.
//!
//! ```text
//! claimed ─► working (with heartbeats) ─► finishing ─► done
//!    └──────────┴── lease lost, trust ended ──┴──► given up (nothing more is reported)
//! ```
//!
//! The server may hand out a message again after its reply was made and the message was given up. Such a message
//! continues directly with finishing.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use af_api::worker::history::HistoryEntry;
use af_api::worker::outcome::{CompleteRequest, FailRequest, ReplyBody};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::api::{Api, ApiError};
use crate::backoff::Backoff;
use crate::documents::Documents;
use crate::engine::{Engine, Failure, Progress};
use crate::hydration::ReceivedBundle;
use crate::lease::Lease;
use crate::skills::Skills;
use crate::snapshot::Files;
use crate::unreported::{Reply, Unreported};

/// The key of a message's metadata with the operator's documents in which an edit of the agent was taken back.
const PUT_BACK: &str = "documentsPutBack";
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
    Failure(Failure),
    /// No reply, because the worker must stop.
    Drained,
}

/// Why the work on a message stopped before its reply was ready.
enum Interruption {
    /// The message has an outcome without a reply.
    Outcome(Outcome),
    /// The worker cannot report to the server any more.
    Abandoned(End),
}

impl From<Failure> for Interruption {
    fn from(failure: Failure) -> Self {
        Self::Outcome(Outcome::Failure(failure))
    }
}

impl From<End> for Interruption {
    fn from(end: End) -> Self {
        Self::Abandoned(end)
    }
}

/// A running job.
pub struct Work<'a> {
    pub api: &'a Api,
    pub engine: &'a dyn Engine,
    pub lease: &'a Lease,
    pub unreported: &'a Unreported,
    /// The data folder, which must hold the conversation's files before the engine starts.
    pub files: Option<&'a Files>,
    /// The skills, which are in the data folder and do not belong to the conversation.
    pub skills: Option<&'a Mutex<Skills>>,
    /// The documents of the workspace.
    pub documents: &'a Documents,
}

impl Work<'_> {
    /// Runs the message to its end. If `is_new_lease` is false, the age of the lease is unknown and the first heartbeat
    /// is sent at once. `cut_off` ends when the worker must not run the message any longer.
    pub async fn run(
        &self,
        bundle: Option<&ReceivedBundle>,
        is_new_lease: bool,
        cut_off: impl Future<Output = ()>,
    ) -> End {
        let message_id = &*self.lease.job().message_id;
        let progress = Progress::default();
        let made = match (self.unreported.of(message_id), bundle) {
            (Some(reply), _) => {
                tracing::info!(message_id, "the reply was made before, so only its message is completed");
                Ok(reply)
            }
            (None, None) => Err(Failure::retryable("the server sent no hydration bundle").into()),
            (None, Some(bundle)) => tokio::select! {
                biased; // If the lease is lost at the moment when the reply is ready, the loss wins.
                interruption = self.keep_lease(&progress, is_new_lease) => Err(interruption),
                made = self.answer(bundle, &progress, cut_off) => made,
            },
        };
        let outcome = match made {
            Ok(reply) => Outcome::Reply(reply),
            Err(Interruption::Outcome(outcome)) => outcome,
            Err(Interruption::Abandoned(end)) => return end,
        };
        match timeout_at(self.lease.trusted_until(), self.finish(outcome, &progress)).await {
            Ok(Ok(())) => {
                // The server knows the outcome. If it hands out the message again, a new reply is wanted.
                self.unreported.forget(message_id);
                End::Done
            }
            Ok(Err(end)) => end,
            Err(_) => End::GivenUp,
        }
    }

    /// Sends heartbeats. Ends only when the work must stop: the trust ended, the lease is lost, or the message was
    /// cancelled.
    async fn keep_lease(&self, progress: &Progress, is_new_lease: bool) -> Interruption {
        let mut backoff = Backoff::new();
        let mut due = if is_new_lease { self.lease.heartbeat_due() } else { Instant::now() };
        loop {
            let next = async {
                sleep_until(due).await;
                self.beat(progress, &mut backoff).await
            };
            due = match timeout_at(self.lease.trusted_until(), next).await {
                Ok(Ok(None)) => self.lease.heartbeat_due(),
                Ok(Ok(Some(wait))) => Instant::now() + wait,
                Ok(Err(interruption)) => return interruption,
                // The concurrent work may have renewed the lease in the meantime.
                Err(_) if Instant::now() < self.lease.trusted_until() => self.lease.heartbeat_due(),
                Err(_) => return self.lost("no heartbeat succeeded in time").into(),
            };
        }
    }

    /// Makes the reply.
    async fn answer(
        &self,
        bundle: &ReceivedBundle,
        progress: &Progress,
        cut_off: impl Future<Output = ()>,
    ) -> Result<Reply, Interruption> {
        let claimed_at = self.lease.server_now_ms();
        let (text, put_back) = tokio::select! {
            biased; // If the reply is ready at the same moment, there is no time left to report it.
            () = cut_off => return Err(Interruption::Outcome(Outcome::Drained)),
            ran = self.run_engine(bundle, progress) => ran?,
        };
        let question = bundle.payload.message_text.clone();
        let (at, usage) = (self.lease.server_now_ms(), progress.usage());
        let reply = Reply { question, claimed_at, text, at, usage, put_back };
        self.unreported.note(&self.lease.job().message_id, &reply);
        Ok(reply)
    }

    /// Runs the engine on the conversation's files and documents. Heartbeats continue while the files are restored. Returns
    /// the reply, and the operator's documents in which an edit of the agent was taken back.
    async fn run_engine(
        &self,
        bundle: &ReceivedBundle,
        progress: &Progress,
    ) -> Result<(String, Vec<String>), Failure> {
        self.prepare_data_folder().await.map_err(|error| {
            tracing::error!(error = &*error, "the data folder could not be prepared");
            Failure::retryable(format!("the conversation's files could not be restored: {error}"))
        })?;
        let (api, job) = (self.api, self.lease.job());
        let unavailable = |error: &(dyn std::error::Error + 'static)| {
            tracing::error!(error, "the documents of the workspace could not be prepared");
            Failure::retryable(format!("the agent's documents could not be prepared: {error}"))
        };
        let bundle = self.documents.load(api, job, bundle).await.map_err(|error| unavailable(&error))?;
        let placed = self.documents.place(&bundle).await.map_err(|error| unavailable(&error))?;
        let text = self.engine.answer(&bundle, progress).await?;
        Ok((text, self.documents.collect(api, job, placed).await))
    }

    /// Restores the conversation's files if the folder holds others, and then the skills, which the restore removes.
    async fn prepare_data_folder(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let Some(files) = self.files else { return Ok(()) };
        if files.ensure(self.api, &self.lease.job().conversation_id, self.engine.stop()).await?
            && let Some(skills) = self.skills
        {
            skills.lock().await.reinstall(self.api).await?;
        }
        Ok(())
    }

    /// Sends a heartbeat. `Some` when it failed: how long to wait before the next one.
    async fn beat(
        &self,
        progress: &Progress,
        backoff: &mut Backoff,
    ) -> Result<Option<Duration>, Interruption> {
        let started = Instant::now();
        let answer = match self.api.heartbeat(self.lease.job(), progress.take()).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Some(self.wait_after(&error, backoff)?)),
        };
        if !answer.held {
            return Err(self.lost("the server answered that the lease is not held").into());
        }
        self.lease.renewed(started, &answer);
        if answer.cancelled {
            return Err(Failure::permanent("cancelled").into());
        }
        backoff.reset();
        Ok(None)
    }

    /// Reports the outcome until the server has accepted it. The caller stops the retries when the trust ends.
    async fn finish(&self, mut outcome: Outcome, progress: &Progress) -> Result<(), End> {
        let mut backoff = Backoff::new();
        loop {
            let Err(error) = self.report(&outcome, progress).await else { return Ok(()) };
            match (&error, &outcome) {
                // A reply that the server refuses must not make the message come back again and again.
                (ApiError::Refused { .. }, Outcome::Reply(_)) => {
                    let reason = format!("the reply could not be recorded: {error}");
                    outcome = Outcome::Failure(Failure::permanent(reason));
                }
                _ => sleep(self.wait_after(&error, &mut backoff)?).await,
            }
        }
    }

    async fn report(&self, outcome: &Outcome, progress: &Progress) -> Result<(), ApiError> {
        match outcome {
            Outcome::Reply(reply) => self.complete(reply).await,
            Outcome::Failure(failure) => self.fail(failure, false, progress).await,
            Outcome::Drained => {
                let reason = "the worker had to shut down before the message was done";
                self.fail(&Failure::retryable(reason), true, progress).await
            }
        }
    }

    async fn complete(&self, reply: &Reply) -> Result<(), ApiError> {
        let Reply { question, claimed_at, text, at, usage, put_back } = reply;
        let job = self.lease.job();
        let put_back = (!put_back.is_empty()).then(|| (PUT_BACK.to_owned(), put_back.join(", ")));
        let reply = Some(text.clone()).filter(|text| is_shown(text));
        let question = entry("user", question, *claimed_at);
        let answer = reply.as_deref().map(|reply| entry("assistant", reply, *at));
        let request = CompleteRequest {
            lease_id: job.lease_id.clone(),
            fence: job.fence,
            history: [question].into_iter().chain(answer).collect(),
            pending_tool_calls: None,
            metadata: put_back.into_iter().collect::<BTreeMap<_, _>>(),
            delivery: None,
            usage: usage.clone(),
            reply: reply.map(|text| ReplyBody { text, format: Some(self.engine.format().to_owned()) }),
        };
        self.api.complete(job, &request).await
    }

    async fn fail(&self, failure: &Failure, drained: bool, progress: &Progress) -> Result<(), ApiError> {
        let job = self.lease.job();
        let request = FailRequest {
            lease_id: job.lease_id.clone(),
            fence: job.fence,
            error_message: failure.reason.chars().take(MAX_REASON_CHARS).collect(),
            retryable: failure.retryable,
            retry_after_ms: failure
                .retry_after
                .map(|asked| u64::try_from(asked.as_millis()).unwrap_or(u64::MAX)),
            drained,
            usage: progress.usage(),
        };
        self.api.fail(job, &request).await
    }

    /// How long to wait before a retry after this error.
    fn wait_after(&self, error: &ApiError, backoff: &mut Backoff) -> Result<Duration, End> {
        match error {
            ApiError::Denied { status } => Err(End::Denied { status: *status }),
            _ => error.retry_in(backoff.next()).ok_or_else(|| self.lost(&error.to_string())),
        }
    }

    fn lost(&self, why: &str) -> End {
        let job = self.lease.job();
        tracing::warn!(
            message_id = job.message_id,
            fence = job.fence,
            why,
            "the lease is lost and the message is given up"
        );
        End::GivenUp
    }
}

/// Whether the reply has any text. A blank reply is not sent.
fn is_shown(text: &str) -> bool {
    !text.trim().is_empty()
}

fn entry(role: &str, content: &str, at: u64) -> HistoryEntry {
    HistoryEntry { role: role.to_owned(), content: content.to_owned(), at: Some(at) }
}
