//! The loop: poll, work, poll again.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use af_api::worker::poll::PollRequest;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::api::{Api, ApiError, Polled};
use crate::backoff::Backoff;
use crate::config::Config;
use crate::documents::Documents;
use crate::engine::{Engine, engine_for};
use crate::hydration::ReceivedBundle;
use crate::job::{End, Work};
use crate::lease::Lease;
use crate::skills::{Skills, SkillsError};
use crate::snapshot::{Files, FilesError, SnapshotOutcome};
use crate::unreported::Unreported;

/// How long the server may be unreachable before the worker ends: a `dev` was killed, or the address has changed. If the
/// deployment still runs, reconcile starts a new worker.
pub const UNREACHABLE_EXIT: Duration = Duration::from_secs(120);
/// Limits of the wait that the server names. They prevent a busy loop, and a worker that does not poll for too long.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(50);
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(60);
/// How long a poll may wait for a message. A shutdown waits for the answer, so this is shorter than the server allows.
const MAX_WAIT_MS: u32 = 5_000;
/// Interval of the signs of life while the worker restores or saves files and makes no other call. The server counts a
/// worker as dead after two minutes without one. It records them once a minute, so the last one may be a minute old when
/// the work begins.
const SIGN_OF_LIFE_INTERVAL: Duration = Duration::from_secs(30);

/// Most tries of the final release. Without a release, the server notices later that the worker has ended.
const MAX_RELEASE_TRIES: usize = 3;

/// Why a worker ended normally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The server told it to stop.
    Stopped,
    /// The shutdown future ended (SIGTERM).
    ShutDown,
}

/// Why a worker could not continue.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
    /// The data folder cannot be used.
    #[error("the data folder cannot be used")]
    Files(#[from] FilesError),
    /// The server does not accept the worker's token.
    #[error("the server denies this worker (HTTP {status})")]
    Denied {
        /// 401 or 403.
        status: u16,
    },
    /// The server refuses polls: it is not a deployment of Agent Factory, or one of another version.
    #[error("the server refuses polls (HTTP {status}, {code})")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// The code of the problem, if it has one.
        code: String,
    },
    /// The required skills could not be installed.
    #[error("this worker must not run without its skills")]
    Skills(#[source] SkillsError),
    /// There was no answer for [`UNREACHABLE_EXIT`].
    #[error("the server could not be reached for {} s", UNREACHABLE_EXIT.as_secs())]
    Unreachable(#[source] reqwest::Error),
}

/// Runs a worker until the server tells it to stop or `shutdown` ends. In both cases the running message is finished
/// first. After a shutdown it has at most `config.shutdown_limit`.
/// Then a snapshot of the conversation's files is taken.
///
/// # Errors
/// `AgentError` when the worker cannot continue.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<Exit, AgentError> {
    let (begin_shutdown, shutdown_begun) = watch::channel(None);
    let limit = config.shutdown_limit;
    let worker = Worker::new(config, shutdown_begun).await?;
    let watch = async {
        shutdown.await;
        tracing::info!("shutting down");
        begin_shutdown.send_replace(Some(Instant::now() + limit));
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        exit = worker.serve() => exit,
        never = watch => match never {},
    }
}

struct Worker {
    api: Api,
    engine: Arc<dyn Engine>,
    unreported: Unreported,
    files: Option<Files>,
    skills: Option<Mutex<Skills>>,
    documents: Documents,
    worker_id: String,
    /// The conversation that the worker believes it owns.
    conversation_id: Option<String>,
    /// Whether a lease in the next answer must be a new one. It may be an older one if the worker may already hold a
    /// lease: an answer was lost, a message was given up, or an earlier process with the same worker id held it. The
    /// server hands out such a lease again, and its age is unknown.
    next_lease_is_new: bool,
    /// When a shutdown cuts off the running message; `None` before the shutdown begins.
    shutdown: watch::Receiver<Option<Instant>>,
}

/// What to do after the answer to a poll.
enum Next {
    /// Poll again after this long.
    Wait(Duration),
    /// Poll again now.
    AtOnce,
    /// Release the conversation and take another.
    Switch,
    /// Take the final snapshot and end.
    Stop,
}

/// How a poll releases the conversation.
#[derive(Clone, Copy)]
struct Release {
    /// The conversation has no files to keep.
    discard: bool,
}

impl Worker {
    async fn new(config: Config, shutdown: watch::Receiver<Option<Instant>>) -> Result<Self, AgentError> {
        let files = match config.data_dir.clone() {
            Some(path) => Some(Files::open(path, &config.url, config.command_uid).await?),
            None => None,
        };
        Ok(Self {
            engine: engine_for(&config).map_err(AgentError::Http)?,
            documents: Documents::new(&config),
            files,
            api: Api::new(&config.url, config.token).map_err(AgentError::Http)?,
            unreported: Unreported::default(),
            skills: config.skills.map(|skills| Mutex::new(Skills::new(skills))),
            worker_id: config.worker_id,
            conversation_id: config.conversation_id,
            next_lease_is_new: false,
            shutdown,
        })
    }

    async fn serve(mut self) -> Result<Exit, AgentError> {
        tracing::info!(worker_id = self.worker_id, "worker started");
        self.restore_at_start().await;
        let mut backoff = Backoff::new();
        let mut release = None;
        self.update_skills(true).await?;
        self.engine.warm_up().await;
        while self.shutdown.borrow().is_none() {
            let asked_at = Instant::now();
            let next = match self.poll(release).await {
                Ok(polled) => {
                    backoff.reset();
                    self.follow(polled, asked_at, release.is_some()).await?
                }
                Err(error) => {
                    let wait = self.wait_after_failed_poll(error, backoff.next())?;
                    self.pause(wait).await;
                    continue; // Repeat the same `release`, because it is unknown whether it took effect.
                }
            };
            release = None;
            match next {
                Next::Stop => {
                    self.take_final_snapshot("drain").await;
                    return Ok(Exit::Stopped);
                }
                Next::Wait(length) => self.pause(length).await,
                Next::AtOnce => {}
                Next::Switch => {
                    release = self.prepare_release("drain").await;
                    if release.is_none() {
                        self.pause(MAX_POLL_INTERVAL).await;
                    }
                }
            }
            self.update_skills(false).await?;
        }
        self.take_final_snapshot("signal").await;
        Ok(Exit::ShutDown)
    }

    /// Restores the files of the conversation that the worker was started for, before the first poll. If that fails, the
    /// first message tries again.
    async fn restore_at_start(&self) {
        if let (Some(files), Some(conversation_id)) = (&self.files, &self.conversation_id)
            && let Err(error) =
                self.with_signs_of_life(files.ensure(&self.api, conversation_id, self.engine.stop())).await
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(worker_id = self.worker_id, error, "the files could not be restored at the start");
        }
    }

    /// Does the work, and sends signs of life at the same time.
    async fn with_signs_of_life<T>(&self, work: impl Future<Output = T>) -> T {
        let signs = async {
            loop {
                sleep(SIGN_OF_LIFE_INTERVAL).await;
                if let Err(error) = self.api.control(self.conversation_id.as_deref()).await {
                    tracing::debug!(worker_id = self.worker_id, %error, "a sign of life failed");
                }
            }
        };
        tokio::select! {
            done = work => done,
            never = signs => { let never: Infallible = never; match never {} }
        }
    }

    /// Takes a snapshot of the files, so that the conversation may be released; not if it answers `None`.
    async fn prepare_release(&self, reason: &'static str) -> Option<Release> {
        let save = async {
            self.engine.stop().await;
            match &self.files {
                Some(files) => files.take_snapshot(&self.api, reason).await,
                None => SnapshotOutcome::NothingToKeep,
            }
        };
        let outcome = self.with_signs_of_life(save).await;
        match outcome {
            SnapshotOutcome::Taken => Some(Release { discard: false }),
            SnapshotOutcome::NothingToKeep => Some(Release { discard: true }),
            SnapshotOutcome::Failed => None,
        }
    }

    /// Takes the final snapshot. If there are no files, releases the conversation instead, so that the server does not wait
    /// for a snapshot.
    async fn take_final_snapshot(&self, reason: &'static str) {
        if self.conversation_id.is_none() {
            return;
        }
        let Some(release @ Release { discard: true }) = self.prepare_release(reason).await else { return };
        let mut backoff = Backoff::new();
        for _ in 0..MAX_RELEASE_TRIES {
            // A poll with a load gets no message.
            let released = self.api.poll(&self.poll_request(Some(release), 1)).await;
            match released.map_err(|error| error.retry_in(backoff.next())) {
                Ok(_) | Err(None) => return,
                Err(Some(wait)) => sleep(wait.min(MAX_POLL_INTERVAL)).await,
            }
        }
    }

    /// Installs the skills, or their changes. Stops when a shutdown begins.
    async fn update_skills(&self, first: bool) -> Result<(), AgentError> {
        let Some(skills) = &self.skills else { return Ok(()) };
        let mut shutdown = self.shutdown.clone();
        let api = &self.api;
        let update = async {
            let mut skills = skills.lock().await;
            if first {
                return skills.bootstrap(api).await;
            }
            skills.refresh(api).await;
            Ok(())
        };
        tokio::select! {
            updated = update => updated.map_err(AgentError::Skills),
            Ok(_) = shutdown.wait_for(Option::is_some) => Ok(()),
        }
    }

    /// Polls. A poll is never cancelled, even by a shutdown, because its answer may hold a claim.
    async fn poll(&self, release: Option<Release>) -> Result<Polled, ApiError> {
        self.api.poll(&self.poll_request(release, 0)).await
    }

    fn poll_request(&self, release: Option<Release>, load: u32) -> PollRequest {
        PollRequest {
            conversation_id: self.conversation_id.clone(),
            load,
            hydrate: true,
            since: None,
            workspace_fingerprint: self.documents.fingerprint(),
            release: release.is_some(),
            discard: release.is_some_and(|r| r.discard),
            wait_ms: MAX_WAIT_MS,
        }
    }

    /// Follows the answer to a poll.
    async fn follow(
        &mut self,
        polled: Polled,
        asked_at: Instant,
        released: bool,
    ) -> Result<Next, AgentError> {
        let Polled { answer, mut bundle } = polled;
        self.documents.fill(bundle.as_mut());
        let wait = Duration::from_millis(answer.next_poll_ms).clamp(MIN_POLL_INTERVAL, MAX_POLL_INTERVAL);
        if released {
            self.conversation_id = None;
        }
        let Some(job) = answer.job else {
            self.next_lease_is_new = true;
            if answer.control.should_stop {
                let reasons = answer.control.reasons.join(",");
                tracing::info!(reasons, "the server tells this worker to stop");
                return Ok(Next::Stop);
            }
            // After a release the worker owns no conversation, so it ignores `switch` in the answer.
            let switch = answer.control.switch && !released;
            // After a lost answer to a claim, the worker owns a conversation that it does not know.
            if switch && self.conversation_id.is_none() {
                self.conversation_id = answer.control.conversation_id;
            }
            return Ok(if switch { Next::Switch } else { Next::Wait(wait) });
        };
        self.conversation_id = Some(job.conversation_id.clone());
        let lease = Lease::claimed(job, asked_at);
        let end = self.work(&lease, bundle.as_ref()).await;
        self.next_lease_is_new = end == End::Done;
        match end {
            End::Denied { status } => Err(AgentError::Denied { status }),
            _ if answer.control.should_stop || lease.stop_asked() => Ok(Next::Stop),
            End::Done => Ok(Next::AtOnce),
            // The wait prevents a busy loop when the same failure repeats.
            End::GivenUp => Ok(Next::Wait(wait)),
        }
    }

    async fn work(&self, lease: &Lease, bundle: Option<&ReceivedBundle>) -> End {
        let job = lease.job();
        tracing::info!(
            worker_id = self.worker_id,
            message_id = job.message_id,
            conversation_id = job.conversation_id,
            agent_key = job.agent_key,
            attempt = job.attempt,
            "message claimed"
        );
        let Self { api, unreported, documents, .. } = self;
        let (files, skills) = (self.files.as_ref(), self.skills.as_ref());
        let work = Work { api, engine: &*self.engine, lease, unreported, files, skills, documents };
        let end = work.run(bundle, self.next_lease_is_new, cut_off(self.shutdown.clone())).await;
        tracing::info!(worker_id = self.worker_id, message_id = job.message_id, ?end, "message ended");
        end
    }

    /// How long to wait after a failed poll.
    ///
    /// # Errors
    /// When no later poll can succeed.
    fn wait_after_failed_poll(&mut self, error: ApiError, backoff: Duration) -> Result<Duration, AgentError> {
        if std::mem::replace(&mut self.next_lease_is_new, false) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(worker_id = self.worker_id, error, "polls fail");
        }
        let wait = error.retry_in(backoff);
        match (error, wait) {
            (ApiError::Unreachable(error), _) if self.api.silent_for() >= UNREACHABLE_EXIT => {
                Err(AgentError::Unreachable(error))
            }
            (_, Some(wait)) => Ok(wait.min(MAX_POLL_INTERVAL)),
            (ApiError::Denied { status }, None) => Err(AgentError::Denied { status }),
            (ApiError::Refused { status, code }, None) => Err(AgentError::Refused { status, code }),
            (other, None) => Err(AgentError::Refused { status: 409, code: other.to_string() }),
        }
    }

    /// Waits, at most until a shutdown begins.
    async fn pause(&self, length: Duration) {
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            () = sleep(length) => {}
            // An error means that no shutdown can begin any more, because the worker ends.
            Ok(_) = shutdown.wait_for(Option::is_some) => {}
        }
    }
}

/// Ends when the shutdown cuts off the running message.
async fn cut_off(mut shutdown: watch::Receiver<Option<Instant>>) {
    let begun = shutdown.wait_for(Option::is_some).await.map(|at| *at);
    match begun {
        Ok(Some(at)) => sleep_until(at).await,
        _ => std::future::pending().await,
    }
}
