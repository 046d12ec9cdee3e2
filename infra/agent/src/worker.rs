//! The loop: poll, work, poll again.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::api::{Api, ApiError};
use crate::backoff::Backoff;
use crate::config::Config;
use crate::delivered::Delivered;
use crate::engine::{self, Engine};
use crate::job::{End, Work};
use crate::lease::Lease;
use crate::reply::Courier;
use crate::skills::{Skills, SkillsError};
use crate::snapshot::{Files, FilesError, Kept};
use crate::wire::{Bundle, PollAnswer, PollRequest};

/// A server that was silent for this long is gone (a `dev` that was killed, an address that changed): the worker
/// ends, and reconcile makes a new one when there is somebody to make it.
pub const UNREACHABLE_EXIT: Duration = Duration::from_secs(120);
/// Bounds of what the server may tell us to wait: never a busy loop, never out of reach.
const POLL_EVERY_MIN: Duration = Duration::from_millis(50);
const POLL_EVERY_MAX: Duration = Duration::from_secs(60);

/// How often a sign of life goes out beside what takes long and asks the server for nothing. Who is silent for two minutes
/// is taken for dead, and the server notes our signs once a minute: the last one may be that old when the work begins.
const SIGN_OF_LIFE_INTERVAL: Duration = Duration::from_secs(30);

/// Tries to tell the server that we leave. It finds out by itself, only later.
const FAREWELLS_MAX: usize = 3;

/// Why a worker ended as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The server told it to stop.
    Stopped,
    /// The shutdown future ended (SIGTERM).
    ShutDown,
}

/// Why a worker could not go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
    /// The Telegram client could not be set up.
    #[error("the Telegram client cannot be set up")]
    Telegram(#[source] af_telegram::TelegramError),
    /// The data folder cannot be used.
    #[error("the data folder cannot be used")]
    Files(#[from] FilesError),
    /// The server does not accept our token.
    #[error("the server denies this worker (HTTP {status})")]
    Denied {
        /// 401 or 403.
        status: u16,
    },
    /// The server does not understand our polls: it is not one of ours, or another version.
    #[error("the server refuses to be polled (HTTP {status}, {code})")]
    Refused {
        /// Its status.
        status: u16,
        /// The problem's code, if it named one.
        code: String,
    },
    /// The skills that it must have are not to be had.
    #[error("this worker must not run without its skills")]
    Skills(#[source] SkillsError),
    /// No answer for [`UNREACHABLE_EXIT`].
    #[error("the server could not be reached for {} s", UNREACHABLE_EXIT.as_secs())]
    Unreachable(#[source] reqwest::Error),
}

/// Runs a worker until the server tells it to stop or `shutdown` ends. A running message is finished in both
/// cases, in the second for at most `config.shutdown_limit`, and what it takes to send a reply that is on its way.
/// Then the conversation's files are kept in a snapshot.
///
/// # Errors
/// `AgentError` when the worker cannot go on.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<Exit, AgentError> {
    let (tell, told) = watch::channel(None);
    let limit = config.shutdown_limit;
    let worker = Worker::new(config, told).await?;
    let watch = async {
        shutdown.await;
        tracing::info!("shutting down");
        tell.send_replace(Some(Instant::now() + limit));
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
    courier: Courier,
    delivered: Delivered,
    files: Option<Files>,
    skills: Option<Mutex<Skills>>,
    worker_id: String,
    /// The conversation that we believe is ours.
    conversation_id: Option<String>,
    /// Whether a lease that the next poll answers must be a new one. Not so when we may hold one already (its
    /// answer was lost, we gave it up, or a worker of our id had it before us): the server hands such a lease out
    /// again, with an age that we do not know.
    sure: bool,
    /// When the shutdown, once begun, cuts a running message off.
    shutdown: watch::Receiver<Option<Instant>>,
}

/// What to do after a poll was answered.
enum Next {
    /// Poll again after this long.
    Wait(Duration),
    /// Poll again now.
    AtOnce,
    /// Let the conversation go, and take another.
    Switch,
    /// End.
    Leave,
}

/// How a poll lets the conversation go.
#[derive(Clone, Copy)]
struct Release {
    /// There is nothing to keep of it.
    discard: bool,
}

impl Worker {
    async fn new(config: Config, shutdown: watch::Receiver<Option<Instant>>) -> Result<Self, AgentError> {
        let engine = engine::of(&config).map_err(AgentError::Http)?;
        let files = match config.data_dir {
            Some(path) => Some(Files::open(path, &config.url).await?),
            None => None,
        };
        Ok(Self {
            files,
            courier: Courier::new(&config.telegram_api_url).map_err(AgentError::Telegram)?,
            api: Api::new(&config.url, config.token).map_err(AgentError::Http)?,
            engine,
            delivered: Delivered::default(),
            skills: config.skills.map(|skills| Mutex::new(Skills::new(skills))),
            worker_id: config.worker_id,
            conversation_id: config.conversation_id,
            sure: false,
            shutdown,
        })
    }

    async fn serve(mut self) -> Result<Exit, AgentError> {
        tracing::info!(worker_id = self.worker_id, "worker started");
        self.restore_early().await;
        let mut backoff = Backoff::new();
        let mut release = None;
        self.bring_skills(true).await?;
        while self.shutdown.borrow().is_none() {
            let asked_at = Instant::now();
            let next = match self.poll(release).await {
                Ok(answer) => {
                    backoff.reset();
                    self.follow(answer, asked_at, release.is_some()).await?
                }
                Err(error) => {
                    let wait = self.survive(error, backoff.next())?;
                    self.pause(wait).await;
                    continue; // With the same `release`: whether it took effect is unknown.
                }
            };
            release = None;
            match next {
                Next::Leave => {
                    self.leave("drain").await;
                    return Ok(Exit::Stopped);
                }
                Next::Wait(length) => self.pause(length).await,
                Next::AtOnce => {}
                Next::Switch => {
                    release = self.before_release("drain").await;
                    if release.is_none() {
                        self.pause(POLL_EVERY_MAX).await;
                    }
                }
            }
            self.bring_skills(false).await?;
        }
        self.leave("signal").await;
        Ok(Exit::ShutDown)
    }

    /// Restores the files of the conversation that we were made for, before anything is asked for. If that fails, the
    /// first message tries again.
    async fn restore_early(&self) {
        if let (Some(files), Some(conversation_id)) = (&self.files, &self.conversation_id)
            && let Err(error) = self.alive_beside(files.ensure(&self.api, conversation_id)).await
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(worker_id = self.worker_id, error, "the files could not be restored yet");
        }
    }

    /// Does this work, and gives signs of life beside it.
    async fn alive_beside<T>(&self, work: impl Future<Output = T>) -> T {
        let signs = async {
            loop {
                sleep(SIGN_OF_LIFE_INTERVAL).await;
                if let Err(error) = self.api.control(self.conversation_id.as_deref()).await {
                    tracing::debug!(worker_id = self.worker_id, %error, "no sign of life got through");
                }
            }
        };
        tokio::select! {
            done = work => done,
            never = signs => { let never: Infallible = never; match never {} }
        }
    }

    /// Keeps the files, so that the conversation may be let go. None when they could not be kept: then it may not.
    async fn before_release(&self, reason: &'static str) -> Option<Release> {
        let kept = match &self.files {
            Some(files) => self.alive_beside(files.keep(&self.api, reason)).await,
            None => Kept::Nothing,
        };
        match kept {
            Kept::Snapshot => Some(Release { discard: false }),
            Kept::Nothing => Some(Release { discard: true }),
            Kept::Lost => None,
        }
    }

    /// Keeps the files for the last time, or says that there is nothing to keep, so that nobody waits for us.
    async fn leave(&self, reason: &'static str) {
        if self.conversation_id.is_none() {
            return;
        }
        let Some(release @ Release { discard: true }) = self.before_release(reason).await else { return };
        let mut backoff = Backoff::new();
        for _ in 0..FAREWELLS_MAX {
            // With a load, so that it is given no work.
            let farewell = self.api.poll(&self.question(Some(release), 1)).await;
            match farewell.map_err(|error| error.retry_in(backoff.next())) {
                Ok(_) | Err(None) => return,
                Err(Some(wait)) => sleep(wait.min(POLL_EVERY_MAX)).await,
            }
        }
    }

    /// Brings the skills, or what has changed of them, unless the shutdown begins.
    async fn bring_skills(&self, first: bool) -> Result<(), AgentError> {
        let Some(skills) = &self.skills else { return Ok(()) };
        let mut shutdown = self.shutdown.clone();
        let api = &self.api;
        let bring = async {
            let mut skills = skills.lock().await;
            if first {
                return skills.bootstrap(api).await;
            }
            skills.refresh(api).await;
            Ok(())
        };
        tokio::select! {
            brought = bring => brought.map_err(AgentError::Skills),
            Ok(_) = shutdown.wait_for(Option::is_some) => Ok(()),
        }
    }

    /// A poll is never cut short, not even by a shutdown: its answer may hold a claim.
    async fn poll(&self, release: Option<Release>) -> Result<PollAnswer, ApiError> {
        self.api.poll(&self.question(release, 0)).await
    }

    fn question(&self, release: Option<Release>, load: u8) -> PollRequest<'_> {
        let conversation_id = self.conversation_id.as_deref();
        let discard = release.is_some_and(|r| r.discard);
        PollRequest { conversation_id, load, hydrate: true, release: release.is_some(), discard }
    }

    /// Does what the answer asks for.
    async fn follow(
        &mut self,
        answer: PollAnswer,
        asked_at: Instant,
        released: bool,
    ) -> Result<Next, AgentError> {
        let wait = Duration::from_millis(answer.next_poll_ms).clamp(POLL_EVERY_MIN, POLL_EVERY_MAX);
        if released {
            self.conversation_id = None;
        }
        let Some(job) = answer.job else {
            self.sure = true;
            if answer.control.should_stop {
                tracing::info!(reasons = answer.control.reasons.join(","), "the server says stop");
                return Ok(Next::Leave);
            }
            // Whoever has just let go has nothing more to let go, whatever the answer says.
            let switch = answer.control.switch && !released;
            // The answer to a claim may have been lost: then we own one that we know nothing of.
            if switch && self.conversation_id.is_none() {
                self.conversation_id = answer.control.conversation_id;
            }
            return Ok(if switch { Next::Switch } else { Next::Wait(wait) });
        };
        self.conversation_id = Some(job.conversation_id.clone());
        let lease = Lease::claimed(job, asked_at);
        let end = self.work(&lease, answer.bundle.as_ref()).await;
        self.sure = end == End::Done;
        match end {
            End::Denied { status } => Err(AgentError::Denied { status }),
            _ if answer.control.should_stop || lease.stop_asked() => Ok(Next::Leave),
            End::Done => Ok(Next::AtOnce),
            // Whatever went wrong shall not go wrong in a busy loop.
            End::GivenUp => Ok(Next::Wait(wait)),
        }
    }

    async fn work(&self, lease: &Lease, bundle: Option<&Bundle>) -> End {
        let job = lease.job();
        tracing::info!(
            worker_id = self.worker_id,
            message_id = job.message_id,
            conversation_id = job.conversation_id,
            agent_key = job.agent_key,
            attempt = job.attempt,
            "message claimed"
        );
        let Self { api, courier, delivered, .. } = self;
        let (files, skills) = (self.files.as_ref(), self.skills.as_ref());
        let work = Work { api, engine: &*self.engine, courier, lease, delivered, files, skills };
        let end = work.run(bundle, self.sure, cut_off(self.shutdown.clone())).await;
        tracing::info!(worker_id = self.worker_id, message_id = job.message_id, ?end, "message ended");
        end
    }

    /// How long to wait after a poll failed, if there is any point in waiting.
    fn survive(&mut self, error: ApiError, backoff: Duration) -> Result<Duration, AgentError> {
        if std::mem::replace(&mut self.sure, false) {
            tracing::warn!(
                worker_id = self.worker_id,
                error = &error as &dyn std::error::Error,
                "polls fail"
            );
        }
        let wait = error.retry_in(backoff);
        match (error, wait) {
            (ApiError::Unreachable(error), _) if self.api.silent_for() >= UNREACHABLE_EXIT => {
                Err(AgentError::Unreachable(error))
            }
            (_, Some(wait)) => Ok(wait.min(POLL_EVERY_MAX)),
            (ApiError::Denied { status }, None) => Err(AgentError::Denied { status }),
            (ApiError::Refused { status, code }, None) => Err(AgentError::Refused { status, code }),
            (other, None) => Err(AgentError::Refused { status: 409, code: other.to_string() }),
        }
    }

    /// Waits, unless the shutdown begins.
    async fn pause(&self, length: Duration) {
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            () = sleep(length) => {}
            // An error means that nobody can begin a shutdown any more, which ends with us.
            Ok(_) = shutdown.wait_for(Option::is_some) => {}
        }
    }
}

/// Ends when the shutdown cuts a running message off.
async fn cut_off(mut shutdown: watch::Receiver<Option<Instant>>) {
    let begun = shutdown.wait_for(Option::is_some).await.map(|at| *at);
    match begun {
        Ok(Some(at)) => sleep_until(at).await,
        _ => std::future::pending().await,
    }
}
