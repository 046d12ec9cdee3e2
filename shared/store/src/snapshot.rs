//! Snapshots: items in the partition of their conversation, a copy of the latest ready snapshot, and the
//! expiry index.
//!
//! An item is in the expiry index (`xp`, `xk`) while its object may have to be deleted: from its preparation
//! on, because it may never be finalized; not while it is the latest ready snapshot; again after a newer
//! snapshot replaces it, until its object is deleted.

use af_domain::conversation::Conversation;
use af_domain::ids::{
    AgentKey, ConversationId, ConversationKey, Fence, Sha256Hex, SnapshotId, SnapshotParts, WorkerId,
};
use af_domain::policy::Policies;
use af_domain::snapshot::{FORMAT_VERSION, Snapshot, SnapshotReason, SnapshotStatus, Stored};
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::{Worker, WorkerStatus};

use crate::conversation::{change as conversation_change, freed_meta, key_from};
use crate::expression::Update;
use crate::item::{Item, Reader, Writer};
use crate::sweep::SweepCursor;
use crate::upload::{Prepare, counted};
use crate::worker::finish_drain_row;
use crate::write::{Commit, Updated, queried};
use crate::{Page, Result, Store, keys};

/// How long the item of a snapshot stays readable after its object was deleted.
const ITEM_RETENTION: Millis = Millis::from_days(30);

/// The assumed size of an archive before its upload, if only the upload announces its size. This is the largest body
/// that a function accepts.
const UNANNOUNCED_BYTES: u64 = 6 * 1024 * 1024;

/// How a ready snapshot changes the conversation.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotChange<'a> {
    /// The conversation before.
    pub before: &'a Conversation,
    /// The conversation after: its owner has a current snapshot, or has left it.
    pub after: &'a Conversation,
    /// The stopping row of the owner, if the owner leaves with this snapshot.
    pub leaving: Option<&'a Worker>,
}

/// What becomes the latest snapshot after one was skipped.
#[derive(Debug, Clone, Copy)]
pub enum SkippedLatest<'a> {
    /// The skipped one was not the latest.
    Other,
    /// There is no previous one.
    None,
    /// The previous one.
    Previous(&'a Snapshot),
}

impl Store {
    /// Returns a snapshot, strongly consistent.
    pub async fn snapshot(&self, id: &SnapshotId) -> Result<Option<Snapshot>> {
        self.get(keys::snapshot(id), true).await?.as_ref().map(snapshot_from).transpose()
    }

    /// Returns the latest ready snapshot of a conversation, strongly consistent.
    pub async fn latest_snapshot(&self, key: &ConversationKey) -> Result<Option<Snapshot>> {
        self.get(keys::latest_snapshot(key), true).await?.as_ref().map(snapshot_from).transpose()
    }

    /// Returns the conversations of `wanted` that have a ready snapshot, strongly consistent.
    pub async fn with_snapshot(&self, wanted: &[ConversationKey]) -> Result<Vec<ConversationKey>> {
        let found = self.batch_get(wanted.iter().map(keys::latest_snapshot), true).await?;
        found.iter().map(|item| key_from(&Reader::of(item))).collect()
    }

    /// Returns one page of a conversation's snapshots, the newest first, starting after `after`. The cursor
    /// is the last snapshot if there are more.
    pub async fn snapshots_of(
        &self,
        key: &ConversationKey,
        limit: i32,
        after: Option<&SnapshotId>,
    ) -> Result<Page<Snapshot, SnapshotId>> {
        let pk = keys::conversation(key).pk;
        let values = [(":pk", pk.into()), (":from", "S#".into()), (":to", "S#~".into())];
        let query = self.query("#pk = :pk AND #sk BETWEEN :from AND :to", values);
        let query = query.scan_index_forward(false).limit(limit);
        let start = after.map(|id| keys::snapshot(id).attributes());
        let answer = queried(query.set_exclusive_start_key(start)).await?;
        let items = answer.items().iter().map(snapshot_from).collect::<Result<Vec<_>, _>>()?;
        let next = items.last().filter(|_| answer.last_evaluated_key.is_some()).map(|s| s.id.clone());
        Ok(Page { items, next })
    }

    /// Returns one page of the snapshots whose expiry time is at or before `now`, the earliest first. The
    /// read is eventually consistent.
    pub async fn expired_snapshots(
        &self,
        now: Timestamp,
        limit: i32,
        after: Option<SweepCursor>,
    ) -> Result<Page<SnapshotId, SweepCursor>> {
        self.expired_page(keys::EXPIRING_SNAPSHOTS, now, limit, after, id_in_key).await
    }

    /// Creates the item of a snapshot before its upload, and counts its bytes in the worker's row.
    pub async fn prepare_if_absent(&self, snapshot: &Snapshot) -> Result<Prepare> {
        let row = with_attributes(Writer::at(keys::snapshot(&snapshot.id)), snapshot)
            .put("xp", keys::EXPIRING_SNAPSHOTS)
            .put("xk", snapshot.expires_at);
        let bytes = snapshot.content.as_ref().map_or(UNANNOUNCED_BYTES, |content| content.size_bytes);
        let counted = counted(&snapshot.worker, bytes, snapshot.created_at);
        let committed = self.commit(self.transaction().put_new(row.build()).update(counted)).await?;
        if committed.is_done() {
            return Ok(Prepare::Done);
        }
        let is_too_much = committed.failed_condition(0).is_none() && committed.old_item(1).is_some();
        Ok(if is_too_much { Prepare::TooMuch } else { Prepare::Stale })
    }

    /// Records the size and digest of a snapshot whose worker announces them with the upload.
    pub async fn announce_if_uploading(&self, id: &SnapshotId, content: &Stored) -> Result<Commit> {
        let update = Update::of(keys::snapshot(id))
            .set("sz", content.size_bytes)
            .set("sha", content.sha256.as_str())
            .when_is("st", "uploading");
        self.update_or_stale(update).await
    }

    /// Makes a snapshot the latest ready one. The `replaced` snapshot may expire from now on. The
    /// conversation is updated too, and becomes free if its owner leaves.
    pub async fn finalize_if_current(
        &self,
        ready: &Snapshot,
        replaced: Option<&Snapshot>,
        change: &SnapshotChange<'_>,
        policies: &Policies,
    ) -> Result<Commit> {
        let SnapshotStatus::Ready { completed_at } = ready.status else { return Ok(Commit::Stale) };
        let parts = ready.id.parts();
        let row = Update::of(keys::snapshot(&ready.id))
            .set("st", "ready")
            .set("ca", completed_at)
            .set("exp", ready.expires_at)
            .remove("xp")
            .remove("xk")
            .when_is("st", "uploading");
        // Only an update can require the previous value of the copy.
        let copy = Update::of(keys::latest_snapshot(&parts.conversation))
            .set_all(with_attributes(Writer::default(), ready).build())
            .set("fe", parts.fence.0);
        let copy = match replaced {
            None => copy.when("attribute_not_exists(#pk)"),
            Some(old) => copy
                .when("#id = :replaced AND #fe <= :fence")
                .bind(":replaced", old.id.as_str())
                .bind(":fence", parts.fence.0),
        };
        let SnapshotChange { before, after, leaving } = *change;
        let meta = conversation_change(before, after, policies.queue.ready_shards)
            .when_is("ow.w", ready.worker.as_str())
            .when_is("fn", parts.fence.0);
        let mut transaction = self.transaction().update(row).update(copy);
        if let Some(old) = replaced {
            let old = Update::of(keys::snapshot(&old.id))
                .set("xp", keys::EXPIRING_SNAPSHOTS)
                .set("xk", old.expires_at)
                .when("attribute_exists(#pk)");
            transaction = transaction.update(old);
        }
        let transaction = match leaving {
            None => {
                let worker = Update::of(keys::worker(&ready.worker))
                    .set("ss", ready.id.as_str())
                    .when("attribute_exists(#pk)");
                transaction.update(meta).update(worker)
            }
            Some(settled) => {
                let WorkerStatus::Stopping { since } = settled.status else { return Ok(Commit::Stale) };
                let meta = meta.when("attribute_not_exists(#ls)");
                transaction.update(meta).update(finish_drain_row(settled, since))
            }
        };
        self.commit_or_stale(transaction).await
    }

    /// Records that an upload failed, and frees the conversation if its owner leaves without the snapshot.
    pub async fn fail_if_uploading(
        &self,
        failed: &Snapshot,
        freed: Option<(&Worker, &Conversation, &Conversation)>,
        policies: &Policies,
    ) -> Result<Commit> {
        let SnapshotStatus::Failed { error } = &failed.status else { return Ok(Commit::Stale) };
        let row = Update::of(keys::snapshot(&failed.id))
            .set("st", "failed")
            .set("er", error.as_str())
            .when_is("st", "uploading");
        let mut transaction = self.transaction().update(row);
        if let Some((settled, before, after)) = freed {
            let WorkerStatus::Stopping { since } = settled.status else { return Ok(Commit::Stale) };
            let meta = freed_meta(&settled.id, before, after, policies);
            transaction = transaction.update(meta).update(finish_drain_row(settled, since));
        }
        self.commit_or_stale(transaction).await
    }

    /// Records that a ready snapshot is not restored any more. If it is the latest, `previous` takes its place, if there
    /// is a previous one.
    pub async fn skip_if_ready(&self, skipped: &Snapshot, latest: SkippedLatest<'_>) -> Result<Commit> {
        let SnapshotStatus::Failed { error } = &skipped.status else { return Ok(Commit::Stale) };
        let row = Update::of(keys::snapshot(&skipped.id))
            .set("st", "failed")
            .set("er", error.as_str())
            .set("exp", skipped.expires_at)
            .set("xp", keys::EXPIRING_SNAPSHOTS)
            .set("xk", skipped.expires_at)
            .when_is("st", "ready");
        let transaction = self.transaction().update(row);
        let key = keys::latest_snapshot(&skipped.id.parts().conversation);
        let transaction = match latest {
            SkippedLatest::Other => transaction,
            SkippedLatest::None => transaction.delete_when_is(&key, "id", skipped.id.as_str()),
            SkippedLatest::Previous(previous) => {
                let copy = Update::of(key)
                    .set_all(with_attributes(Writer::default(), previous).build())
                    .set("fe", previous.id.parts().fence.0)
                    .when_is("id", skipped.id.as_str());
                let row =
                    Update::of(keys::snapshot(&previous.id)).remove("xp").remove("xk").when_is("st", "ready");
                transaction.update(copy).update(row)
            }
        };
        self.commit_or_stale(transaction).await
    }

    /// Ends an expired snapshot before its object is deleted. From now on it is not offered for download.
    pub async fn expire_if_unchanged(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        now: Timestamp,
    ) -> Result<Commit> {
        let update = Update::of(keys::snapshot(&before.id))
            .set("st", after.status.name())
            .when("#st = :before AND #xk <= :now")
            .bind(":before", before.status.name())
            .bind(":now", now);
        let update = match &after.status {
            SnapshotStatus::Failed { error } => update.set("er", error.as_str()),
            _ => update,
        };
        Ok(match self.update(update).await? {
            Updated::Done(_) => Commit::Done,
            // Only an earlier attempt of this write can have set this status.
            Updated::Refused(Some(old))
                if before.status != after.status && snapshot_from(&old)?.status == after.status =>
            {
                Commit::Done
            }
            Updated::Refused(_) => Commit::Stale,
        })
    }

    /// Removes a snapshot whose object was deleted from the expiry index.
    pub async fn object_deleted_if_ended(&self, id: &SnapshotId, now: Timestamp) -> Result<Commit> {
        let update = Update::of(keys::snapshot(id))
            .set("ttl", (now + ITEM_RETENTION).as_secs())
            .remove("xp")
            .remove("xk")
            .when("#st = :failed OR #st = :expired")
            .bind(":failed", "failed")
            .bind(":expired", "expired");
        self.update_or_stale(update).await
    }
}

fn with_attributes(writer: Writer, snapshot: &Snapshot) -> Writer {
    let writer = writer
        .put("id", snapshot.id.as_str())
        .put("cid", snapshot.conversation.as_str())
        .put("ag", snapshot.agent.as_str())
        .put("w", snapshot.worker.as_str())
        .put("rs", snapshot.reason.as_str())
        .put("fv", FORMAT_VERSION)
        .put_some("sz", snapshot.content.as_ref().map(|c| c.size_bytes))
        .put_some("sha", snapshot.content.as_ref().map(|c| c.sha256.as_str()))
        .put("at", snapshot.created_at)
        .put("exp", snapshot.expires_at)
        .put("st", snapshot.status.name());
    match &snapshot.status {
        SnapshotStatus::Ready { completed_at } => writer.put("ca", *completed_at),
        SnapshotStatus::Failed { error } => writer.put("er", error.as_str()),
        SnapshotStatus::Uploading | SnapshotStatus::Expired => writer,
    }
}

fn snapshot_from(item: &Item) -> Result<Snapshot> {
    let reader = Reader::of(item);
    let status = match reader.text("st")? {
        "uploading" => SnapshotStatus::Uploading,
        "ready" => SnapshotStatus::Ready { completed_at: reader.time("ca")? },
        "failed" => SnapshotStatus::Failed { error: reader.text("er")?.to_owned() },
        "expired" => SnapshotStatus::Expired,
        _ => return Err(reader.malformed("st", "not a status")),
    };
    let reason = SnapshotReason::parse(reader.text("rs")?);
    let content = match reader.number_if("sz")? {
        Some(size_bytes) => Some(Stored { size_bytes, sha256: reader.id("sha", Sha256Hex::parse)? }),
        None => None,
    };
    Ok(Snapshot {
        id: reader.id("id", SnapshotId::parse)?,
        conversation: reader.id("cid", ConversationId::parse)?,
        agent: reader.id("ag", AgentKey::parse)?,
        worker: reader.id("w", WorkerId::parse)?,
        reason: reason.ok_or_else(|| reader.malformed("rs", "not a reason"))?,
        content,
        status,
        created_at: reader.time("at")?,
        expires_at: reader.time("exp")?,
    })
}

/// Parses the snapshot id in an item's key.
fn id_in_key(reader: &Reader<'_>) -> Result<SnapshotId> {
    let conversation = key_from(reader)?;
    let place = reader.text("sk")?.trim_start_matches("S#").split_once('#');
    let id = place.and_then(|(fence, place)| {
        let fence = Fence(fence.parse().ok()?);
        SnapshotId::of(&SnapshotParts { conversation, fence, place: place.to_owned() })
    });
    id.ok_or_else(|| reader.malformed("sk", "not a snapshot's"))
}
