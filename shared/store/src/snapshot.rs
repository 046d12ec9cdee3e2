//! Snapshots: rows in their conversation's partition, a copy of the latest good one, and the index of what expires.
//!
//! A row stands in the index (`xp`, `xk`) while something has to be done about its object: from its preparation, for
//! it may never be finalized; not while it is the latest good one, which stays; again from the moment that a newer
//! one replaces it; and until its object is gone.

use af_domain::conversation::Conversation;
use af_domain::ids::{
    AgentKey, ConversationId, ConversationKey, Fence, Sha256Hex, SnapshotId, SnapshotParts, WorkerId,
};
use af_domain::policy::Policies;
use af_domain::snapshot::{FORMAT_VERSION, Snapshot, SnapshotReason, SnapshotStatus, Stored};
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::{Worker, WorkerStatus};

use crate::conversation::{Commit, MAX_BATCH_GET_KEYS, as_commit, change, freed_meta};
use crate::due::DueCursor;
use crate::expression::{Update, names_in};
use crate::item::{Item, Reader, Value, Writer};
use crate::keys::Key;
use crate::upload::{Prepare, counted};
use crate::worker::settle_row;
use crate::write::Updated;
use crate::{Store, StoreError, keys};

/// How long the row of a snapshot whose object is gone stays readable.
const GONE_KEPT: Millis = Millis::from_days(30);

/// What an archive counts whose size is announced with its upload: it comes through a function, which takes no more.
const UNANNOUNCED_BYTES: u64 = 6 * 1024 * 1024;

/// How a conversation changes with the end of an upload.
#[derive(Debug, Clone, Copy)]
pub enum Follows<'a> {
    /// Its owner goes on, and has a snapshot now.
    Kept {
        /// As it was read.
        before: &'a Conversation,
        /// As it shall be.
        after: &'a Conversation,
    },
    /// Its owner leaves with this snapshot, or without one.
    Freed {
        /// As it was read.
        before: &'a Conversation,
        /// As it shall be.
        after: &'a Conversation,
        /// The worker's row as it shall be.
        settled: &'a Worker,
    },
}

impl Store {
    /// The snapshot, strongly consistent.
    ///
    /// # Errors
    /// When the table cannot answer, or the item is malformed.
    pub async fn snapshot(&self, id: &SnapshotId) -> Result<Option<Snapshot>, StoreError> {
        self.get(keys::snapshot(id), true).await?.as_ref().map(snapshot_from).transpose()
    }

    /// The conversation's latest good snapshot, strongly consistent.
    ///
    /// # Errors
    /// When the table cannot answer, or the item is malformed.
    pub async fn latest_snapshot(&self, key: &ConversationKey) -> Result<Option<Snapshot>, StoreError> {
        self.get(keys::latest_snapshot(key), true).await?.as_ref().map(snapshot_from).transpose()
    }

    /// Those of these conversations that have a good snapshot, strongly consistent.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn with_snapshot(
        &self,
        wanted: &[ConversationKey],
    ) -> Result<Vec<ConversationKey>, StoreError> {
        let mut kept = Vec::new();
        for batch in wanted.chunks(MAX_BATCH_GET_KEYS) {
            let latest = batch.iter().map(|key| keys::latest_snapshot(key).attributes()).collect();
            let found = self.batch_get_now(latest).await?;
            let has = |key: &&ConversationKey| {
                let latest = keys::latest_snapshot(key).attributes();
                found.iter().any(|item| item.get("pk") == latest.get("pk"))
            };
            kept.extend(batch.iter().filter(has).cloned());
        }
        Ok(kept)
    }

    /// One page of a conversation's snapshots, newest first, after the one named `after`; the cursor names the last
    /// one when there are more.
    ///
    /// # Errors
    /// When the table cannot answer, or an item is malformed.
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

    /// One page of the snapshots about whose objects something is to be done by `now`, longest due first; eventually
    /// consistent.
    ///
    /// # Errors
    /// When the table cannot answer, or a key is malformed.
    pub async fn due_snapshots(
        &self,
        now: Timestamp,
        limit: i32,
        after: Option<DueCursor>,
    ) -> Result<(Vec<SnapshotId>, Option<DueCursor>), StoreError> {
        let (due, after) = self.due(keys::EXPIRING_SNAPSHOTS, now, limit, after).await?;
        Ok((due.iter().map(id_in_key).collect::<Result<_, _>>()?, after))
    }

    /// Makes the row of a snapshot that will be uploaded, and counts its bytes in its worker's row.
    ///
    /// # Errors
    /// When the table cannot answer.
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
        let is_worker_there = committed.refusal(1).is_some_and(|refusal| refusal.old.is_some());
        let is_too_much = committed.refusal(0).is_none() && is_worker_there;
        Ok(if is_too_much { Prepare::TooMuch } else { Prepare::Stale })
    }

    /// Notes what was uploaded for a snapshot whose worker announces with its upload.
    ///
    /// # Errors
    /// When the table cannot answer.
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

    /// Makes a snapshot the latest good one, in place of `replaced`, which from now on may expire; and says so on its
    /// conversation, which is free when its owner leaves.
    ///
    /// # Errors
    /// When the table cannot answer; read again and decide again.
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
                transaction.update(meta).update(settle_row(settled, since))
            }
        };
        Ok(as_commit(&self.commit(transaction).await?))
    }

    /// Notes that an upload failed, and frees the conversation when its owner leaves without the snapshot.
    ///
    /// # Errors
    /// When the table cannot answer; read again and decide again.
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
            transaction = transaction.update(meta).update(settle_row(settled, since));
        }
        Ok(as_commit(&self.commit(transaction).await?))
    }

    /// Ends a snapshot whose time is over, before its object goes: from now on nobody is given a URL of it.
    ///
    /// # Errors
    /// When the table cannot answer.
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
            // Nothing else leaves a snapshot in this status but an earlier sending.
            Updated::Refused(Some(old))
                if before.status != after.status && snapshot_from(&old)?.status == after.status =>
            {
                Commit::Done
            }
            Updated::Refused(_) => Commit::Stale,
        })
    }

    /// Takes a snapshot whose object is gone out of the index.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn object_gone_if_over(&self, id: &SnapshotId, now: Timestamp) -> Result<Commit, StoreError> {
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

/// The copy of the latest good snapshot, as an update: only an update can require what stood there before.
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

/// The id that a row's key says.
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
