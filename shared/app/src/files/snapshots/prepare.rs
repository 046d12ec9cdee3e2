//! Prepares a snapshot: creates its item, and presigns a URL that accepts exactly the announced bytes.

use af_api::worker::snapshots::PreparedSnapshot;
use af_aws::objects::Objects;
use af_domain::conversation::OwnerState;
use af_domain::ids::{ConversationId, SnapshotId, SnapshotParts, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::snapshot::{
    ABANDONED_AFTER, MAX_SIZE_BYTES, Snapshot, SnapshotReason, SnapshotRefusal, SnapshotStatus, Stored,
    URL_GOOD_FOR,
};
use af_domain::time::Millis;
use af_domain::worker::DrainReason;
use af_store::conversation_key;
use af_store::upload::Prepare;

use super::ownership::object_key;
use crate::files::media::too_much;
use crate::pool::lifecycle::{FinalSnapshot, drain, drain_and_finish};
use crate::settings::policies;
use crate::{App, AppError, Result};

/// When to retry while a message runs. An abandoned lease ends within a minute or two.
const BUSY_WAIT: Millis = Millis::from_secs(5);

/// The announcement of a snapshot.
#[derive(Debug, Clone)]
pub struct Announced {
    /// The conversation.
    pub conversation: ConversationId,
    /// The reason for the snapshot.
    pub reason: SnapshotReason,
    /// The archive.
    pub content: Stored,
}

/// Prepares a snapshot of `worker`. With the reason `signal` the worker stops, so it drains from now on.
///
/// # Errors
/// Returns 404 if the worker does not own the conversation, 409 if it has claimed nothing or a
/// message runs, 429 if its upload allowance is used up, and 422 for a size that S3 does not accept. A
/// repeated preparation creates another snapshot; the first one fails when it expires.
pub async fn prepare(
    app: &App,
    objects: &Objects,
    worker: &WorkerId,
    announced: Announced,
) -> Result<PreparedSnapshot> {
    let Announced { conversation, reason, content } = announced;
    if content.size_bytes == 0 || content.size_bytes > MAX_SIZE_BYTES {
        let detail = format!("sizeBytes must be 1 to {MAX_SIZE_BYTES}");
        return Err(Refusal::field("/sizeBytes", detail).into());
    }
    let snapshot = drafted(app, worker, &conversation, reason).await?;
    let upload = objects.put_url(&object_key(&snapshot.id), &content, None, URL_GOOD_FOR).await?;
    let snapshot = begun(app, Snapshot { content: Some(content), ..snapshot }).await?;
    Ok(PreparedSnapshot {
        snapshot_id: snapshot.id.to_string(),
        upload_url: upload.url,
        method: "PUT".to_owned(),
        headers: upload.headers.into_iter().collect(),
        expires_at: (snapshot.created_at + URL_GOOD_FOR).as_millis(),
    })
}

/// Prepares a snapshot of a worker, and of its conversation if it has one, that cannot announce its archive yet;
/// `receive` accepts the archive. Such a worker does not retry: with the reason `signal`, its running message is
/// requeued first. A worker that has claimed nothing is refused and may stop. The other errors are those of
/// `prepare`.
pub async fn prepare_unannounced(
    app: &App,
    worker: &WorkerId,
    conversation: Option<&ConversationId>,
    reason: SnapshotReason,
) -> Result<Snapshot> {
    let Some(conversation) = conversation else {
        drain_and_finish(app, worker, FinalSnapshot::Awaited).await?;
        return Err(Refusal::new(Code::Conflict, SnapshotRefusal::NothingClaimed.to_string()).into());
    };
    if reason == SnapshotReason::Signal {
        requeue_running_message(app, worker, conversation).await?;
    }
    match drafted(app, worker, conversation, reason).await {
        Ok(snapshot) => begun(app, snapshot).await,
        Err(AppError::Refused(refusal)) if refusal.code == Code::Conflict => {
            drain_and_finish(app, worker, FinalSnapshot::Awaited).await?;
            Err(refusal.into())
        }
        Err(error) => Err(error),
    }
}

async fn requeue_running_message(app: &App, worker: &WorkerId, conversation: &ConversationId) -> Result<()> {
    let found = app.store.conversation(&conversation_key(conversation), true).await?;
    let Some(lease) = found.and_then(|c| c.lease).filter(|l| &l.worker == worker) else { return Ok(()) };
    let why = "its worker was told to stop";
    match Box::pin(crate::worker::leave(app, worker, &lease.entry.message, &lease.id, why)).await {
        // The attempt has just ended.
        Err(AppError::Refused(refusal)) if refusal.code == Code::StaleLease => Ok(()),
        given_back => given_back.map(drop),
    }
}

/// Builds the item of a new snapshot without an announced archive.
async fn drafted(
    app: &App,
    worker: &WorkerId,
    conversation: &ConversationId,
    reason: SnapshotReason,
) -> Result<Snapshot> {
    let now = app.now();
    let key = conversation_key(conversation);
    let missing = || Refusal::not_found(format!("conversation {conversation} of this worker"));
    let conversation = app.store.conversation(&key, true).await?.ok_or_else(missing)?;
    let fence = conversation.snapshot_fence(worker, now).map_err(|refusal| match refusal {
        SnapshotRefusal::NotOwner => missing(),
        SnapshotRefusal::NothingClaimed => Refusal::new(Code::Conflict, refusal.to_string()),
        SnapshotRefusal::Busy => Refusal::new(Code::MessageRunning, refusal.to_string()).after(BUSY_WAIT),
    })?;
    let stays = conversation.owner.as_ref().is_some_and(|o| o.state == OwnerState::Active);
    if reason == SnapshotReason::Signal && stays {
        let policies = policies::for_agent(app, &conversation.agent).await?;
        drain(app, worker, DrainReason::Signal, &policies).await?;
    }
    let parts = SnapshotParts { conversation: key, fence, place: app.entropy.ulid(now) };
    Ok(Snapshot {
        id: SnapshotId::of(&parts).expect("its place is a ULID"),
        conversation: conversation.id,
        agent: conversation.agent,
        worker: worker.clone(),
        reason,
        content: None,
        status: SnapshotStatus::Uploading,
        created_at: now,
        expires_at: now + ABANDONED_AFTER,
    })
}

async fn begun(app: &App, snapshot: Snapshot) -> Result<Snapshot> {
    match app.store.prepare_if_absent(&snapshot).await? {
        Prepare::Done => Ok(snapshot),
        Prepare::TooMuch => Err(too_much(snapshot.content.as_ref().map_or(0, |c| c.size_bytes)).into()),
        Prepare::Stale => Err(AppError::Overtaken("preparing a snapshot")),
    }
}
