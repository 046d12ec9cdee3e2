//! Why a message has not ended: what it waits for, and until when. For an ended message, the state of its reply. The
//! answer comes from its conversation, then from the owner of the conversation, then from the pool and the last reconcile
//! report.

use af_api::reconcile::Report;
use af_domain::conversation::{Conversation, Lease, Owner, OwnerState, WaitReason};
use af_domain::ids::{AgentKey, MessageId, WorkerId};
use af_domain::message::{Message, MessageStatus};
use af_domain::named_enum;
use af_domain::outbox::{Chat, Content, Delivery, DeliveryState, Entry, Next, Outbox};
use af_domain::policy::Policies;
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::{Worker, WorkerStatus};

use crate::agents::profiles;
use crate::conversations::read_models;
use crate::pool::reconcile::last_report;
use crate::pool::workers;
use crate::settings::policies;
use crate::{App, AppError};

/// The longest time between two reconcile runs: the period of the schedule in the template.
const RECONCILE_EVERY: Millis = Millis::from_secs(60);

named_enum! {
    /// What a message waits for.
    pub enum WaitsFor {
        /// Nothing: the message has ended.
        Nothing = "nothing",
        /// The delivery of its reply to Telegram: the message is done.
        Delivery = "delivery",
        /// Its worker: the message runs.
        ItsWorker = "its_worker",
        /// The time of its retry.
        RetryTime = "retry_time",
        /// Its scheduled time.
        ScheduledTime = "scheduled_time",
        /// Its attachments.
        Attachments = "attachments",
        /// Another message of its conversation.
        AnotherMessage = "another_message",
        /// Its agent, which is disabled. `until` is the moment at which the agent is looked at again.
        AgentDisabled = "agent_disabled",
        /// The next poll of the worker that owns its conversation.
        OwnersPoll = "owners_poll",
        /// The worker that owns its conversation, which is draining.
        OwnersDrain = "owners_drain",
        /// The first sign of life of the worker that owns its conversation, or of a free worker.
        WorkersStart = "workers_start",
        /// Reconcile, which takes its conversation from a worker that is silent or gone.
        Reconcile = "reconcile",
        /// The next poll of a worker without a conversation.
        FreeWorkersPoll = "free_workers_poll",
        /// Free capacity in the pool.
        PlaceInPool = "place_in_pool",
        /// A provider that can start workers.
        Provider = "provider",
        /// A new worker that reconcile will start.
        NewWorker = "new_worker",
    }
}

/// What a message waits for, as text and as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The state of the message.
    pub status: &'static str,
    /// What it waits for.
    pub waits_for: WaitsFor,
    /// The reason as text.
    pub reason: String,
    /// The latest end of the wait, if known.
    pub until: Option<Timestamp>,
    /// The worker that the message waits for.
    pub worker: Option<WorkerId>,
    /// The message that the message waits for.
    pub behind: Option<MessageId>,
    /// The number of live workers and the maximum, if the message waits for free capacity.
    pub pool: Option<(usize, u64)>,
    /// The state of the reply of an ended message, if it goes to Telegram.
    pub delivery: Option<DeliveryState>,
}

impl Why {
    fn new(waits_for: WaitsFor, reason: String, until: Option<Timestamp>) -> Self {
        Self {
            status: "queued",
            waits_for,
            reason,
            until,
            worker: None,
            behind: None,
            pool: None,
            delivery: None,
        }
    }

    fn of_worker(mut self, worker: &WorkerId) -> Self {
        self.worker = Some(worker.clone());
        self
    }

    fn behind(mut self, message: &MessageId) -> Self {
        self.behind = Some(message.clone());
        self
    }
}

/// Returns what the message `id` waits for.
///
/// # Errors
/// Returns 404 if the message does not exist.
pub async fn why(app: &App, id: &MessageId) -> Result<Why, AppError> {
    let view = read_models::message(app, id).await?;
    match view.message.status {
        MessageStatus::Queued => {
            let conversation = app.store.conversation(&view.message.key, true).await?;
            of_waiting(app, conversation.as_ref(), id).await
        }
        MessageStatus::Done | MessageStatus::DeadLetter | MessageStatus::Cancelled => {
            Ok(Why { status: view.status, ..of_ended(app, &view.message, view.status).await? })
        }
    }
}

/// Explains what the message `id` of `conversation` waits for.
pub(crate) async fn of_waiting(
    app: &App,
    conversation: Option<&Conversation>,
    id: &MessageId,
) -> Result<Why, AppError> {
    let policies = policies::in_force(app).await?;
    let now = app.now();
    let waiting = conversation.and_then(|c| Some((c, c.wait_reason(id, now, &policies)?)));
    let Some((conversation, waiting)) = waiting else {
        let lost = "its conversation does not name it: it has just ended, or reconcile will repair it";
        return Ok(Why::new(WaitsFor::Reconcile, lost.to_owned(), None));
    };
    Ok(match waiting {
        WaitReason::Completion(lease) => running(lease),
        WaitReason::RunningMessage(lease) => behind_running(lease),
        WaitReason::Retry(at) => {
            let reason = format!("its last attempt failed, and it is tried again at {at}");
            Why::new(WaitsFor::RetryTime, reason, Some(at))
        }
        WaitReason::Scheduled(at) => {
            Why::new(WaitsFor::ScheduledTime, format!("it is scheduled for {at}"), Some(at))
        }
        WaitReason::Attachments(at) => {
            let reason = format!("its attachments are fetched from Telegram; it runs without them from {at}");
            Why::new(WaitsFor::Attachments, reason, Some(at))
        }
        WaitReason::EarlierMessage(entry) => {
            let first = &entry.message;
            let until = Some(entry.waits_until()).filter(|t| *t > now);
            let reason = format!("message {first} of the same conversation comes first");
            Why::new(WaitsFor::AnotherMessage, reason, until).behind(first)
        }
        WaitReason::Worker if is_disabled(app, &conversation.agent).await? => {
            let reason = format!("agent {} is disabled and starts no run", conversation.agent);
            let until = conversation.held_until.filter(|until| *until > now);
            Why::new(WaitsFor::AgentDisabled, reason, until)
        }
        WaitReason::Worker => match &conversation.owner {
            Some(owner) => {
                let row = match app.store.worker(&owner.worker).await? {
                    Some(row) => Some(row),
                    None => app.store.stopped_worker(&owner.worker, now).await?,
                };
                owned(conversation, owner, row.as_ref(), &policies, now)
            }
            None => {
                let (workers, report) = tokio::join!(workers::readable(app), last_report(app));
                unowned(conversation, &workers?.0, report?.as_ref(), &policies, now)
            }
        },
    })
}

/// Explains an ended message, with what became of its reply.
pub(crate) async fn of_ended(app: &App, message: &Message, status: &str) -> Result<Why, AppError> {
    let Some(delivery) = &message.delivery else {
        return Ok(Why::new(WaitsFor::Nothing, format!("it has ended: {status}"), None));
    };
    let outbox = match delivery.state {
        DeliveryState::Waiting => app.store.outbox(&delivery.chat, true).await?,
        _ => None,
    };
    let (waits_for, reason, until) = of_delivery(&message.id, delivery, outbox.as_ref(), app.now());
    let reason = format!("it has ended: {status}; {reason}");
    Ok(Why { delivery: Some(delivery.state), ..Why::new(waits_for, reason, until) })
}

/// Explains the state of a delivery. `outbox` is that of its chat, if something waits there.
fn of_delivery(
    id: &MessageId,
    delivery: &Delivery,
    outbox: Option<&Outbox>,
    now: Timestamp,
) -> (WaitsFor, String, Option<Timestamp>) {
    let Delivery { state, chat, reason, parts } = delivery;
    let reason = reason.as_deref().unwrap_or("Telegram has refused a part");
    let ended = |words: String| (WaitsFor::Nothing, words, None);
    match state {
        DeliveryState::Waiting => waiting_reply(id, chat, outbox, now),
        DeliveryState::Sent => {
            ended(format!("its reply has arrived in chat {chat} as {} messages of Telegram", parts.len()))
        }
        DeliveryState::Uncertain => ended(format!(
            "its reply may not have arrived completely in chat {chat}, because an answer of Telegram was lost; if it has \
             not, send it again with POST /v1/messages/{id}/resend"
        )),
        DeliveryState::Failed => ended(format!("its reply could not be sent to chat {chat}: {reason}")),
        DeliveryState::Cancelled => ended(format!("its reply was not sent to chat {chat}: {reason}")),
        DeliveryState::Dropped => {
            ended(format!("its reply was removed from the outbox of chat {chat}: {reason}"))
        }
    }
}

/// Explains a reply that waits in the outbox of its chat.
fn waiting_reply(
    id: &MessageId,
    chat: &Chat,
    outbox: Option<&Outbox>,
    now: Timestamp,
) -> (WaitsFor, String, Option<Timestamp>) {
    let of_message = |entry: &Entry| matches!(&entry.content, Content::Reply(message) if message == id);
    let place = outbox.and_then(|outbox| outbox.entries.iter().position(of_message));
    let Some((outbox, place)) = outbox.zip(place) else {
        return (WaitsFor::Nothing, format!("its reply has just left the outbox of chat {chat}"), None);
    };
    let ahead = match place {
        0 => String::new(),
        1 => " behind another message".to_owned(),
        n => format!(" behind {n} other messages"),
    };
    let (words, until) = match outbox.next(now) {
        Next::Later(until) if outbox.sending.is_some() => ("a part is being sent", until),
        Next::Later(until) => ("Telegram asks to wait, or cannot be reached", until),
        Next::Empty | Next::Interrupted | Next::Send => ("a sender takes it next", outbox.due_at.max(now)),
    };
    let reason = format!("its reply waits in the outbox of chat {chat}{ahead}: {words}");
    (WaitsFor::Delivery, reason, Some(until))
}

async fn is_disabled(app: &App, agent: &AgentKey) -> Result<bool, AppError> {
    Ok(profiles::now(app, agent).await?.is_some_and(|profile| !profile.enabled))
}

fn running(lease: &Lease) -> Why {
    let worker = &lease.worker;
    let reason = if lease.cancelled {
        format!("worker {worker} runs it and learns with its next heartbeat that it was cancelled")
    } else {
        format!("worker {worker} runs it; its lease expires unless a heartbeat extends it")
    };
    Why {
        status: "processing",
        ..Why::new(WaitsFor::ItsWorker, reason, Some(lease.expires_at)).of_worker(worker)
    }
}

fn behind_running(lease: &Lease) -> Why {
    let (worker, first) = (&lease.worker, &lease.entry.message);
    let reason = format!("message {first} of the same conversation runs on worker {worker}");
    Why::new(WaitsFor::AnotherMessage, reason, None).of_worker(worker).behind(first)
}

/// Explains a wait for the owner of the conversation, with the owner's row.
fn owned(
    conversation: &Conversation,
    owner: &Owner,
    row: Option<&Worker>,
    policies: &Policies,
    now: Timestamp,
) -> Why {
    let worker = &owner.worker;
    let why = |waits_for, reason, until| Why::new(waits_for, reason, until).of_worker(worker);
    let Some(row) = row else {
        let reason =
            format!("worker {worker} owns its conversation but is gone; reconcile frees the conversation");
        return why(WaitsFor::Reconcile, reason, None);
    };
    if let WorkerStatus::Draining { drain_by, reason } = row.status {
        let words = format!("worker {worker} owns its conversation and is draining ({reason})");
        return why(WaitsFor::OwnersDrain, words, Some(drain_by));
    }
    if let Some(reason) = row.drained_for {
        let status = row.status.name();
        let words = format!(
            "worker {worker} owns its conversation but is {status} ({reason}); reconcile frees the conversation"
        );
        return why(WaitsFor::Reconcile, words, Some(now + RECONCILE_EVERY));
    }
    if owner.state == OwnerState::Draining || row.status != WorkerStatus::Active {
        let words = format!("worker {worker} owns its conversation and is draining");
        return why(WaitsFor::OwnersDrain, words, None);
    }
    let seen = row.seen_at.max(owner.seen_at);
    if row.is_stale(seen, now, policies) {
        let silence = now.since(seen.unwrap_or(row.registered_at));
        let words = format!(
            "worker {worker} owns its conversation and has been silent for {silence}; reconcile frees the conversation"
        );
        return why(WaitsFor::Reconcile, words, Some(now + RECONCILE_EVERY));
    }
    if seen.is_none() {
        let words = format!("worker {worker} was started for its conversation and has not polled yet");
        return why(WaitsFor::WorkersStart, words, Some(row.registered_at + policies.lease.boot_grace));
    }
    let words = format!("worker {worker} owns its conversation and claims it with its next poll");
    let quiet_since = conversation.active_at.max(row.quiet_since);
    why(WaitsFor::OwnersPoll, words, Some(now + next_poll(quiet_since, policies, now)))
}

/// Explains a wait for a worker, because the conversation has no owner.
fn unowned(
    conversation: &Conversation,
    workers: &[Worker],
    report: Option<&Report>,
    policies: &Policies,
    now: Timestamp,
) -> Why {
    let free = |w: &&Worker| {
        let is_free = w.status == WorkerStatus::Active && w.assignment.is_none();
        // A program that is to be started by hand may never be started.
        let may_come = !w.is_manual() || w.seen_at.is_some();
        is_free && may_come && !w.is_stale(w.seen_at, now, policies)
    };
    let free: Vec<&Worker> = workers.iter().filter(free).collect();
    if let Some(worker) = free.iter().find(|w| w.seen_at.is_some()) {
        let until = now + next_poll(worker.quiet_since, policies, now);
        let reason = format!("worker {} is free and claims with its next poll", worker.id);
        return Why::new(WaitsFor::FreeWorkersPoll, reason, Some(until)).of_worker(&worker.id);
    }
    if let Some(worker) = free.first() {
        let until = worker.registered_at + policies.lease.boot_grace;
        let reason = format!("worker {} has no conversation and has not polled yet", worker.id);
        return Why::new(WaitsFor::WorkersStart, reason, Some(until)).of_worker(&worker.id);
    }
    let max_workers = policies.scaling.max_workers;
    if workers.len() as u64 >= max_workers {
        let reason = format!(
            "its conversation has no owner, and {} of {max_workers} workers are alive: one must release its conversation or stop",
            workers.len()
        );
        let full = Why::new(WaitsFor::PlaceInPool, reason, None);
        return Why { pool: Some((workers.len(), max_workers)), ..full };
    }
    if let Some(error) = report.and_then(|r| r.errors.first()) {
        let reason = format!(
            "its conversation has no owner, and the last reconcile could not start a worker: {error}"
        );
        return Why::new(WaitsFor::Provider, reason, None);
    }
    if let Some(why) = report.and_then(|r| paused(r, now)) {
        return why;
    }
    // The report names a conversation without an owner only by its key.
    let subject = format!("worker for conversation {}", conversation.key);
    let failed = report.and_then(|r| {
        let of_ours = r.actions.iter().find(|a| a.action == "spawn" && a.subject == subject)?;
        of_ours.outcome.strip_prefix("failed: ")
    });
    let until = report.map(|r| Timestamp::from_millis(r.at) + RECONCILE_EVERY).filter(|t| *t > now);
    match failed {
        Some(why) => {
            let reason = format!("the last reconcile could not start a worker for it and tries again: {why}");
            Why::new(WaitsFor::Provider, reason, until)
        }
        None => {
            let reason =
                "its conversation has no owner; the next reconcile starts a worker for it".to_owned();
            Why::new(WaitsFor::NewWorker, reason, until)
        }
    }
}

/// Explains a pause of spawning, according to the last report.
fn paused(report: &Report, now: Timestamp) -> Option<Why> {
    let pause = report.waits.iter().find(|w| w.subject == "spawning")?;
    let until = pause.until.map(Timestamp::from_millis);
    // A pause that has ended is no longer relevant. A pause without an end lasts until the next run.
    let over = until.unwrap_or(Timestamp::from_millis(report.at) + RECONCILE_EVERY) <= now;
    let reason = format!(
        "its conversation has no owner, and no worker is started while reconcile waits for {}",
        pause.waits_for
    );
    (!over).then(|| Why::new(WaitsFor::Provider, reason, until))
}

/// The poll interval of a worker that has been quiet since `quiet_since`.
fn next_poll(quiet_since: Timestamp, policies: &Policies, now: Timestamp) -> Millis {
    let is_idle = now.since(quiet_since) >= policies.poll.idle_after;
    if is_idle { policies.poll.idle } else { policies.poll.active }
}
