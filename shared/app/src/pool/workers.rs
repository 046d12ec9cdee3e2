//! Workers: register one by hand, list them, show one.

use std::collections::BTreeMap;

use af_api::workers::{RegisterAnswer, WorkerBody};
use af_domain::conversation::Conversation;
use af_domain::ids::{AgentKey, ConversationId, WorkerId};
use af_domain::policy::Policies;
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Timestamp;
use af_domain::worker::{Assignment, DrainReason, MANUAL, Worker, WorkerStatus};
use af_providers::{PoolConfig, PoolSettings};
use af_runtime::metric::Metric;
use af_store::StoreError;
use af_store::conversation::Commit;
use af_store::conversation_key;
use af_store::idempotency::IdempotentCall;
use secrecy::{ExposeSecret, SecretString};

use crate::access::worker_token;
use crate::agents::bridge;
use crate::intake::idempotency;
use crate::pool::outcome::Outcome;
use crate::pool::worker_environment::{EnvironmentInputs, environment};
use crate::pool::{lifecycle, provider};
use crate::settings::policies;
use crate::{App, AppError};

/// Registers a worker that an operator starts by hand. With `once`, a call that is sent again gets the same answer.
///
/// # Errors
/// 422 when the idempotency key came with another request. 409 when the worker of that key has stopped since, when the id
/// is or was in use, or when the conversation has an owner or belongs to another agent than `agent`. 404 when there is no
/// such conversation.
pub async fn register(
    app: &App,
    id: WorkerId,
    conversation: Option<&ConversationId>,
    agent: Option<&AgentKey>,
    public_url: &str,
    once: Option<&IdempotentCall>,
) -> Result<RegisterAnswer, AppError> {
    if agent.is_some() && conversation.is_none() {
        let detail =
            "agentKey goes with conversationId: a worker without one takes conversations of every agent";
        return Err(Refusal::field("/agentKey", detail).into());
    }
    if idempotency::find_record(app, once).await?.is_some() {
        return registered_before(app, &id, public_url).await;
    }
    let policies = policies::in_force(app).await?;
    let now = app.now();
    let mut worker = Worker::registered(id, MANUAL.to_owned(), now);
    // Before the row, because a row without a token and an environment would use up the id.
    let started = started(app, &worker).await?;
    let commit = match conversation {
        None => app.store.register_if_new(&worker, None, once).await?,
        Some(wanted) => {
            let missing = || Refusal::not_found(format!("conversation {wanted}"));
            let before =
                app.store.conversation(&conversation_key(wanted), true).await?.ok_or_else(missing)?;
            if agent.is_some_and(|agent| *agent != before.agent) {
                let detail = format!("conversation {wanted} belongs to agent {}", before.agent);
                return Err(Refusal::new(Code::AgentMismatch, detail).into());
            }
            let Some(after) = before.assigned_to(&worker.id, now, &policies) else {
                // The same call may have been sent twice at the same time.
                if idempotency::find_record(app, once).await?.is_some() {
                    return registered_before(app, &worker.id, public_url).await;
                }
                let detail = format!("conversation {wanted} has an owner");
                return Err(Refusal::new(Code::Conflict, detail).into());
            };
            worker.assignment = Some(Assignment::to(&before, now));
            app.store.register_if_free(&worker, &before, &after, None, once, &policies).await?
        }
    };
    if let Commit::Stale = commit {
        // The same call was sent twice at the same time.
        if idempotency::find_record(app, once).await?.is_some() {
            return registered_before(app, &worker.id, public_url).await;
        }
        let detail =
            format!("worker {} exists or has existed, or its conversation has got an owner", worker.id);
        return Err(Refusal::new(Code::AlreadyExists, detail).into());
    }
    Ok(started.with(app, worker, public_url, &policies))
}

/// The worker that an earlier call with the same idempotency key has registered.
async fn registered_before(app: &App, id: &WorkerId, public_url: &str) -> Result<RegisterAnswer, AppError> {
    let stopped =
        || Refusal::new(Code::Conflict, format!("this call has registered worker {id}, which has stopped"));
    let worker = app.store.worker_now(id).await?.filter(|w| w.status.is_live()).ok_or_else(stopped)?;
    let policies = policies::in_force(app).await?;
    Ok(started(app, &worker).await?.with(app, worker, public_url, &policies))
}

/// What a worker starts with, beside what its row says.
struct Started {
    token: SecretString,
    expires_at: Timestamp,
    settings: PoolSettings,
    bridge: BTreeMap<String, String>,
}

async fn started(app: &App, worker: &Worker) -> Result<Started, AppError> {
    let (token, expires_at) = worker_token::mint_as_of(app, &worker.id, worker.registered_at).await?;
    let (config, bridge) = tokio::try_join!(provider::config::stored(app), bridge::variables(app))?;
    let settings = config.map(|config| config.settings()).unwrap_or_default();
    Ok(Started { token, expires_at, settings, bridge })
}

impl Started {
    fn with(self, app: &App, worker: Worker, public_url: &str, policies: &Policies) -> RegisterAnswer {
        let env = environment(EnvironmentInputs {
            worker: &worker,
            token: &self.token,
            public_url,
            telegram_url: app.telegram_url.as_deref(),
            policies,
            volume_path: &self.settings.volume_path,
            operator_env: &self.settings.env,
            bridge: self.bridge,
        });
        RegisterAnswer {
            worker_id: worker.id.to_string(),
            token: self.token.expose_secret().to_owned(),
            expires_at: self.expires_at.as_millis(),
            env,
        }
    }
}

/// All workers that are not stopped, and the errors of rows that cannot be read. Such a row does not hide the others.
pub(crate) async fn readable(app: &App) -> Result<(Vec<Worker>, Vec<StoreError>), AppError> {
    let (mut workers, mut unreadable) = (Vec::new(), Vec::new());
    for row in app.store.workers_each().await? {
        match row {
            Ok(worker) => workers.push(worker),
            Err(error) => {
                Metric::WorkerUnreadable.count();
                tracing::warn!(%error, "a worker's row cannot be read");
                unreadable.push(error);
            }
        }
    }
    Ok((workers, unreadable))
}

/// The number of workers that are not stopped. A pool has at most 1 000 workers.
pub async fn live_count(app: &App) -> Result<usize, AppError> {
    Ok(readable(app).await?.0.len())
}

/// One page of the workers that are not stopped, by id, with the id of its last worker when there are more. A pool has at
/// most 1 000 workers, so each page reads all rows.
pub async fn list(
    app: &App,
    limit: u32,
    after: Option<&str>,
) -> Result<(Vec<WorkerBody>, Option<String>), AppError> {
    let policies = policies::in_force(app).await?;
    let (workers, next) = page(readable(app).await?.0, limit, after);
    let keys: Vec<_> = workers.iter().filter_map(|w| w.assignment.as_ref()).map(|a| a.key.clone()).collect();
    let conversations = app.store.conversations(&keys).await?;
    let of = |worker: &Worker| {
        let key = worker.assignment.as_ref().map(|a| &a.key)?;
        conversations.iter().find(|c| &c.key == key).cloned()
    };
    Ok((workers.into_iter().map(|w| view(of(&w), w, &policies)).collect(), next))
}

/// At most `limit` of the `workers` that follow `after`, with the id of the last one when there are more.
pub(crate) fn page(
    mut workers: Vec<Worker>,
    limit: u32,
    after: Option<&str>,
) -> (Vec<Worker>, Option<String>) {
    workers.retain(|w| after.is_none_or(|after| w.id.as_str() > after));
    workers.sort_by(|a, b| a.id.cmp(&b.id));
    let more = workers.len() > limit as usize;
    workers.truncate(limit as usize);
    let next = workers.last().filter(|_| more).map(|w| w.id.to_string());
    (workers, next)
}

/// Drains a worker: it ends its message, saves its files and stops.
///
/// # Errors
/// 404 when no worker has or had this id, and 409 when it is not active.
pub async fn drain(app: &App, id: &WorkerId) -> Result<(), AppError> {
    let policies = policies::in_force(app).await?;
    if let Outcome::Done = lifecycle::drain(app, id, DrainReason::Operator, &policies).await? {
        return Ok(());
    }
    let status = get(app, id).await?.status;
    let detail = format!("worker {id} is {status}: only an active worker can be drained");
    Err(Refusal::new(Code::Conflict, detail).into())
}

/// One worker, even if it has stopped.
///
/// # Errors
/// 404 when no worker has or had this id.
pub async fn get(app: &App, id: &WorkerId) -> Result<WorkerBody, AppError> {
    let policies = policies::in_force(app).await?;
    let worker = match app.store.worker(id).await? {
        Some(worker) => Some(worker),
        None => app.store.stopped_worker(id, app.now()).await?,
    };
    let worker = worker.ok_or_else(|| Refusal::not_found(format!("worker {id}")))?;
    let conversation = match &worker.assignment {
        Some(assignment) => app.store.conversation(&assignment.key, false).await?,
        None => None,
    };
    Ok(view(conversation, worker, &policies))
}

fn view(conversation: Option<Conversation>, worker: Worker, policies: &Policies) -> WorkerBody {
    let owned = conversation.filter(|c| c.is_owned_by(&worker.id));
    let owner = owned.as_ref().and_then(|c| c.owner.as_ref());
    let seen_at = worker.seen_at.max(owner.and_then(|o| o.seen_at));
    let last_claim_at = worker.last_claim_at.max(owner.and_then(|o| o.claimed_at));
    let is_busy = owned.as_ref().is_some_and(|c| c.lease.is_some());
    let quiet_since = owned.as_ref().map_or(worker.quiet_since, |c| worker.quiet_since.max(c.active_at));
    let idles_until = quiet_since + policies.scaling.idle_timeout;
    let drain_by = match worker.status {
        WorkerStatus::Draining { drain_by, .. } => Some(drain_by.as_millis()),
        WorkerStatus::Active | WorkerStatus::Stopping { .. } | WorkerStatus::Stopped { .. } => None,
    };
    let drain_reason = worker.drain_reason().map(|reason| reason.as_str().to_owned());
    WorkerBody {
        worker_id: worker.id.to_string(),
        provider: worker.provider,
        status: worker.status.name().to_owned(),
        load: u32::from(is_busy),
        heartbeat_at: seen_at.map(Timestamp::as_millis),
        registered_at: worker.registered_at.as_millis(),
        last_claim_at: last_claim_at.map(Timestamp::as_millis),
        last_snapshot_id: worker.last_snapshot.map(|id| id.to_string()),
        snapshot_missed: worker.snapshot_missed,
        scheduled_shutdown_at: (worker.status == WorkerStatus::Active && !is_busy)
            .then(|| idles_until.as_millis()),
        drain_by,
        drain_reason,
        stopped_at: match worker.status {
            WorkerStatus::Stopped { at } => Some(at.as_millis()),
            WorkerStatus::Active | WorkerStatus::Draining { .. } | WorkerStatus::Stopping { .. } => None,
        },
        assignment: worker.assignment.map(Into::into),
        image: worker.image,
        machine: worker.machine.map(Into::into),
        volume: worker.volume.map(Into::into),
    }
}
