//! The fan-out of a broadcast: page by page, once for each target.

use af_domain::agent::Binding;
use af_domain::policy::Policies;
use af_domain::push::{
    Broadcast, BroadcastCounts, BroadcastTarget, Dispatch, DispatchSource, DispatchStatus, MAX_ERROR_CHARS,
    PushMode, conversation_without_user,
};
use af_domain::time::Millis;
use af_store::StoreError;
use af_store::push::{Advanced, Progress, RunningBroadcast, TargetSent};
use futures::{StreamExt, TryStreamExt};

use super::deadline::Deadline;
use super::message::{Push, reason_of, to_agent, to_user};
use super::targets;
use crate::intake::enqueue::refusal_of;
use crate::settings::policies;
use crate::{App, AppError, Result};

/// How long other dispatchers leave a broadcast alone after a page. A page takes seconds.
const HOLD: Millis = Millis::from_secs(60);
/// Targets that get their message at the same time. Each waits for DynamoDB most of its time.
const MAX_AT_ONCE: usize = 16;

/// The result of a dispatcher's work on a broadcast.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FannedOut {
    pub targets: u64,
    pub has_ended: bool,
}

/// Sends a broadcast to its next targets until none remains, it is cancelled, or the time is over. When this breaks off in
/// a page, the page is sent again: a target that has a dispatch gets no second message.
pub(super) async fn fan_out(app: &App, running: &RunningBroadcast, deadline: Deadline) -> Result<FannedOut> {
    let mut done = FannedOut::default();
    let taken = app.store.take_broadcast_if_due(running, app.now() + HOLD).await?;
    let Some(mut broadcast) = taken else { return Ok(FannedOut { has_ended: true, ..done }) };
    loop {
        let page = targets::after(app, broadcast.cursor.as_ref()).await?;
        let each = |(target, binding)| send(app, &broadcast, target, binding);
        let sent = futures::stream::iter(page.targets).map(each).buffer_unordered(MAX_AT_ONCE);
        let counts = sent
            .try_fold(BroadcastCounts::default(), |counts, status| async move { Ok(with(counts, status)) })
            .await?;
        done.targets += counts.targets;
        let total = sum(&broadcast.counts, &counts);
        let now = app.now();
        let is_over = deadline.is_over();
        let progress = Progress {
            cursor: page.cursor,
            counts,
            ends: page.is_last.then(|| (Broadcast::ended(&total), now)),
            held_until: if is_over { now } else { now + HOLD },
        };
        let before = broadcast.cursor.as_ref();
        match app.store.advance_broadcast_if_unchanged(&broadcast.id, before, &progress).await? {
            Advanced::Running if is_over => return Ok(done),
            Advanced::Running => (broadcast.cursor, broadcast.counts) = (progress.cursor, total),
            Advanced::Ended | Advanced::Stale => return Ok(FannedOut { has_ended: true, ..done }),
        }
    }
}

fn with(counts: BroadcastCounts, status: DispatchStatus) -> BroadcastCounts {
    let (enqueued, failed) = match status {
        DispatchStatus::Enqueued => (1, 0),
        DispatchStatus::Failed | DispatchStatus::Skipped => (0, 1),
    };
    sum(&counts, &BroadcastCounts { targets: 1, enqueued, failed })
}

const fn sum(one: &BroadcastCounts, other: &BroadcastCounts) -> BroadcastCounts {
    BroadcastCounts {
        targets: one.targets + other.targets,
        enqueued: one.enqueued + other.enqueued,
        failed: one.failed + other.failed,
    }
}

/// Sends to one target and returns how its dispatch ended, now or in an earlier run. Malformed items of one target do not
/// stop the broadcast.
async fn send(
    app: &App,
    broadcast: &Broadcast,
    target: BroadcastTarget,
    binding: Option<Binding>,
) -> Result<DispatchStatus> {
    let policies = policies::for_agent(app, &target.agent).await?;
    let run = target.run_key(&broadcast.id);
    let record = Dispatch {
        source: DispatchSource::Broadcast(broadcast.id.clone()),
        run_key: run.clone(),
        user: target.user,
        agent: target.agent,
        scheduled_for: broadcast.created_at,
        status: DispatchStatus::Enqueued,
        message: None,
        error: None,
        created_at: app.now(),
    };
    let push = Push {
        run,
        mode: PushMode::Broadcast,
        origin: ("broadcastId", broadcast.id.to_string()),
        text: broadcast.message_text(),
    };
    let sent = match enqueue(app, record.clone(), binding.as_ref(), push, &policies).await {
        Err(AppError::Store(error @ StoreError::Malformed { .. })) => {
            let (broadcast, agent) = (&broadcast.id, &record.agent);
            tracing::error!(%broadcast, %agent, %error, "a target of a broadcast has a malformed item");
            Err(error.to_string().chars().take(MAX_ERROR_CHARS).collect())
        }
        sent => sent?,
    };
    let reason = match sent {
        Ok(status) => return Ok(status),
        Err(reason) => reason,
    };
    let failed = Dispatch { status: DispatchStatus::Failed, error: Some(reason), ..record };
    Ok(match app.store.send_to_target_if_absent(&failed, None, &policies).await? {
        TargetSent::Known(status) => status,
        TargetSent::Done | TargetSent::Refused(_) => DispatchStatus::Failed,
    })
}

/// Enqueues the message of a target and stores its record. Returns the reason if there is no message.
async fn enqueue(
    app: &App,
    record: Dispatch,
    binding: Option<&Binding>,
    push: Push,
    policies: &Policies,
) -> Result<Result<DispatchStatus, String>> {
    let now = record.created_at;
    let message = match binding {
        Some(binding) => to_user(app, binding, push, now, policies).await?,
        None => {
            let conversation = conversation_without_user(&record.agent)?;
            to_agent(app, &record.agent, conversation, push, now, policies).await?
        }
    };
    let message = match message {
        Ok(message) => message,
        Err(reason) => return Ok(Err(reason)),
    };
    let record = Dispatch { message: Some(message.entry.message.clone()), ..record };
    Ok(match app.store.send_to_target_if_absent(&record, Some(&message), policies).await? {
        TargetSent::Done => Ok(record.status),
        TargetSent::Known(status) => Ok(status),
        TargetSent::Refused(refused) => Err(reason_of(refusal_of(&refused, &message, policies))?),
    })
}
