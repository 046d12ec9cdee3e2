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

use crate::batch::MAX_BATCH_GET_KEYS;
use crate::conversation::{change, freed_meta};
use crate::expression::{Update, names_in};
use crate::item::{Item, Reader, Value, Writer};
use crate::keys::Key;
use crate::sweep::SweepCursor;
use crate::upload::{Prepare, counted};
use crate::worker::finish_drain_row;
use crate::write::{Commit, Updated, as_commit};
use crate::{Store, StoreError, keys};

/// How long the item of a snapshot stays readable after its object was deleted.
const GONE_KEPT: Millis = Millis::from_days(30);

/// The assumed size of an archive whose size is announced with its upload. It is uploaded through a function,
/// which accepts no larger body.
const UNANNOUNCED_BYTES: u64 = 6 * 1024 * 1024;

/// How the end of an upload changes the conversation.
#[derive(Debug, Clone, Copy)]
pub enum Follows<'a> {
    /// The owner keeps the conversation and has a current snapshot.
    Kept {
        /// The conversation before.
        before: &'a Conversation,
        /// The conversation after.
        after: &'a Conversation,
    },
    /// The owner leaves, with or without this snapshot.
    Freed {
        /// The conversation before.
        before: &'a Conversation,
        /// The conversation after.
        after: &'a Conversation,
        /// The worker's row after.
        settled: &'a Worker,
    },
}

impl Store {
    /// Returns a snapshot, strongly consistent.
    ///
    /// # Errors
    /// Returns an error if the table does not answer or the item is malformed.
    pub async fn snapshot(&self, id: &SnapshotId) -> Result<Option<Snapshot>, StoreError> {
        self.get(keys::snapshot(id), true).await?.as_ref().map(snapshot_from).transpose()
    }

    /// Returns the latest ready snapshot of a conversation, strongly consistent.
    ///
    /// # Errors
    /// Returns an error if the table does not answer or the item is malformed.
    pub async fn latest_snapshot(&self, key: &ConversationKey) -> Result<Option<Snapshot>, StoreError> {
        self.get(keys::latest_snapshot(key), true).await?.as_ref().map(snapshot_from).transpose()
    }

    /// Returns those of these conversations that have a ready snapshot, strongly consistent.
    ///
    /// # Errors
    /// Returns an error if the table does not answer.
    pub async fn with_snapshot(
        &self,
        wanted: &[ConversationKey],
    ) -> Result<Vec<ConversationKey>, StoreError> {
        let mut kept = Vec::new();
        for batch in wanted.chunks(MAX_BATCH_GET_KEYS) {
            let latest = batch.iter().map(|key| keys::latest_snapshot(key).attributes()).collect();
            let found = self.batch_get_consistent(latest).await?;
            let has = |key: &&ConversationKey| {
                let latest = keys::latest_snapshot(key).attributes();
                found.iter().any(|item| item.get("pk") == latest.get("pk"))
            };
            kept.extend(batch.iter().filter(has).cloned());
        }
        Ok(kept)
    }

    /// Returns one page of a conversation's snapshots, the newest first, starting after `after`. The cursor
    /// is the last snapshot if there are more.
    ///
    /// # Errors
    /// Returns an error if the table does not answer or an item is malformed.
    pub async fn snapshots_of(
        &self,
        key: &ConversationKey,
        limit: i32,
        after: Option<&SnapshotId>,
    ) -> Result<(Vec<Snapshot>, Option<SnapshotId>), StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
            .set_expression_attribute_names(Some(names_in("#pk #sk")))
            .expression_attribute_values(":pk", Value::from(keys::conversation(key).pk).0)
            .expression_attribute_values(":from", Value::from("S#").0)
            .expression_attribute_values(":to", Value::from("S#~").0)
            .scan_index_forward(false)
            .limit(limit)
            .set_exclusive_start_key(after.map(|id| keys::snapshot(id).attributes()))
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("Query", &e))?;
        let found = answer.items().iter().map(snapshot_from).collect::<Result<Vec<_>, _>>()?;
        let last = found.last().map(|s| s.id.clone()).filter(|_| answer.last_evaluated_key.is_some());
        Ok((found, last))
    }

    /// Returns one page of the snapshots whose expiry time is at or before `now`, the earliest first. The
    /// read is eventually consistent.
    ///
    /// # Errors
    /// Returns an error if the table does not answer or a key is malformed.
    pub async fn expired_snapshots(
        &self,
        now: Timestamp,
        limit: i32,
        after: Option<SweepCursor>,
    ) -> Result<(Vec<SnapshotId>, Option<SweepCursor>), StoreError> {
        let (expired, after) = self.expired_page(keys::EXPIRING_SNAPSHOTS, now, limit, after).await?;
        Ok((expired.iter().map(id_in_key).collect::<Result<_, _>>()?, after))
    }

    /// Creates the item of a snapshot before its upload, and counts its bytes in the worker's row.
    ///
    /// # Errors
    /// Returns an error if the table does not answer.
    pub async fn prepare_if_absent(&self, snapshot: &Snapshot) -> Result<Prepare, StoreError> {
        let row = snapshot_item(keys::snapshot(&snapshot.id), snapshot)
            .put("xp", keys::EXPIRING_SNAPSHOTS)
            .put("xk", snapshot.expires_at);
        let bytes = snapshot.content.as_ref().map_or(UNANNOUNCED_BYTES, |content| content.size_bytes);
        let counted = counted(&snapshot.worker, bytes, snapshot.created_at);
        let committed = self.commit(self.transaction().put_new(row.build()).update(counted)).await?;
        if committed.is_done() {
            return Ok(Prepare::Done);
        }
        let is_worker_there = committed.failed_condition(1).is_some_and(|refusal| refusal.old.is_some());
        let is_too_much = committed.failed_condition(0).is_none() && is_worker_there;
        Ok(if is_too_much { Prepare::TooMuch } else { Prepare::Stale })
    }

    /// Records the size and digest of a snapshot whose worker announces them with the upload.
    ///
    /// # Errors
    /// Returns an error if the table does not answer.
    pub async fn announce_if_uploading(
        &self,
        id: &SnapshotId,
        content: &Stored,
    ) -> Result<Commit, StoreError> {
        let update = Update::of(keys::snapshot(id))
            .set("sz", content.size_bytes)
            .set("sha", content.sha256.as_str())
            .when("#st = :uploading")
            .bind(":uploading", "uploading");
        Ok(match self.update(update).await? {
            Updated::Done(_) => Commit::Done,
            Updated::Refused(_) => Commit::Stale,
        })
    }

    /// Makes a snapshot the latest ready one. The `replaced` snapshot may expire from now on. The
    /// conversation is updated too, and becomes free if its owner leaves.
    ///
    /// # Errors
    /// Returns an error if the table does not answer. The caller then reads and decides again.
    pub async fn finalize_if_current(
        &self,
        ready: &Snapshot,
        replaced: Option<&Snapshot>,
        follows: &Follows<'_>,
        policies: &Policies,
    ) -> Result<Commit, StoreError> {
        let SnapshotStatus::Ready { completed_at } = ready.status else { return Ok(Commit::Stale) };
        let parts = ready.id.parts();
        let row = Update::of(keys::snapshot(&ready.id))
            .set("st", "ready")
            .set("ca", completed_at)
            .set("exp", ready.expires_at)
            .remove("xp")
            .remove("xk")
            .when("#st = :uploading")
            .bind(":uploading", "uploading");
        let Some(content) = &ready.content else { return Ok(Commit::Stale) };
        let copy = latest_update(ready, content, completed_at);
        let copy = match replaced {
            None => copy.when("attribute_not_exists(#pk)"),
            Some(old) => copy
                .when("#id = :replaced AND #fe <= :fence")
                .bind(":replaced", old.id.as_str())
                .bind(":fence", parts.fence.0),
        };
        let meta = |before: &Conversation, after: &Conversation| {
            change(before, after, policies.queue.ready_shards)
                .when("#ow.#w = :worker AND #fn = :fence")
                .bind(":worker", ready.worker.as_str())
                .bind(":fence", parts.fence.0)
        };
        let mut transaction = self.transaction().update(row).update(copy);
        if let Some(old) = replaced {
            let old = Update::of(keys::snapshot(&old.id))
                .set("xp", keys::EXPIRING_SNAPSHOTS)
                .set("xk", old.expires_at)
                .when("attribute_exists(#pk)");
            transaction = transaction.update(old);
        }
        let transaction = match follows {
            Follows::Kept { before, after } => {
                let worker = Update::of(keys::worker(&ready.worker))
                    .set("ss", ready.id.as_str())
                    .when("attribute_exists(#pk)");
                transaction.update(meta(before, after)).update(worker)
            }
            Follows::Freed { before, after, settled } => {
                let WorkerStatus::Stopping { since } = settled.status else { return Ok(Commit::Stale) };
                let meta = meta(before, after).when("attribute_not_exists(#ls)");
                transaction.update(meta).update(finish_drain_row(settled, since))
            }
        };
        Ok(as_commit(&self.commit(transaction).await?))
    }

    /// Records that an upload failed, and frees the conversation if its owner leaves without the snapshot.
    ///
    /// # Errors
    /// Returns an error if the table does not answer. The caller then reads and decides again.
    pub async fn fail_if_uploading(
        &self,
        failed: &Snapshot,
        freed: Option<(&Worker, &Conversation, &Conversation)>,
        policies: &Policies,
    ) -> Result<Commit, StoreError> {
        let SnapshotStatus::Failed { error } = &failed.status else { return Ok(Commit::Stale) };
        let row = Update::of(keys::snapshot(&failed.id))
            .set("st", "failed")
            .set("er", error.as_str())
            .when("#st = :uploading")
            .bind(":uploading", "uploading");
        let mut transaction = self.transaction().update(row);
        if let Some((settled, before, after)) = freed {
            let WorkerStatus::Stopping { since } = settled.status else { return Ok(Commit::Stale) };
            let meta = freed_meta(&settled.id, before, after, policies);
            transaction = transaction.update(meta).update(finish_drain_row(settled, since));
        }
        Ok(as_commit(&self.commit(transaction).await?))
    }

    /// Ends an expired snapshot before its object is deleted. From now on it is not offered for download.
    ///
    /// # Errors
    /// Returns an error if the table does not answer.
    pub async fn expire_if_unchanged(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        now: Timestamp,
    ) -> Result<Commit, StoreError> {
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
    ///
    /// # Errors
    /// Returns an error if the table does not answer.
    pub async fn object_deleted_if_ended(
        &self,
        id: &SnapshotId,
        now: Timestamp,
    ) -> Result<Commit, StoreError> {
        let update = Update::of(keys::snapshot(id))
            .set("ttl", (now + GONE_KEPT).as_secs())
            .remove("xp")
            .remove("xk")
            .when("#st = :failed OR #st = :expired")
            .bind(":failed", "failed")
            .bind(":expired", "expired");
        Ok(match self.update(update).await? {
            Updated::Done(_) => Commit::Done,
            Updated::Refused(_) => Commit::Stale,
        })
    }
}

fn snapshot_item(key: Key, snapshot: &Snapshot) -> Writer {
    let writer = Writer::default()
        .put("pk", key.pk)
        .put("sk", key.sk)
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

/// Returns the copy of the latest ready snapshot as an update, because only an update can require the
/// previous value.
fn latest_update(ready: &Snapshot, content: &Stored, completed_at: Timestamp) -> Update {
    let parts = ready.id.parts();
    Update::of(keys::latest_snapshot(&parts.conversation))
        .set("id", ready.id.as_str())
        .set("fe", parts.fence.0)
        .set("cid", ready.conversation.as_str())
        .set("ag", ready.agent.as_str())
        .set("w", ready.worker.as_str())
        .set("rs", ready.reason.as_str())
        .set("fv", FORMAT_VERSION)
        .set("sz", content.size_bytes)
        .set("sha", content.sha256.as_str())
        .set("at", ready.created_at)
        .set("exp", ready.expires_at)
        .set("st", "ready")
        .set("ca", completed_at)
}

fn snapshot_from(item: &Item) -> Result<Snapshot, StoreError> {
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
fn id_in_key(item: &Item) -> Result<SnapshotId, StoreError> {
    let reader = Reader::of(item);
    let conversation = ConversationKey::parse(reader.text("pk")?.trim_start_matches("C#"));
    let place = reader.text("sk")?.trim_start_matches("S#").split_once('#');
    let parts = conversation.ok().zip(place).and_then(|(conversation, (fence, place))| {
        let fence = Fence(fence.parse().ok()?);
        Some(SnapshotParts { conversation, fence, place: place.to_owned() })
    });
    parts.as_ref().and_then(SnapshotId::of).ok_or_else(|| reader.malformed("sk", "not a snapshot's"))
}
