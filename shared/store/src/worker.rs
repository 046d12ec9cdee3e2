//! The rows of workers. All workers that have not stopped are in one partition, so that one query returns
//! them. A stopped worker is moved to another partition and expires there.

use af_domain::conversation::Conversation;
use af_domain::ids::{AgentKey, ConversationId, ConversationKey, SnapshotId, WorkerId};
use af_domain::policy::Policies;
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::{Assignment, DrainReason, Machine, Volume, Worker, WorkerStatus};

use crate::expression::Update;
use crate::idempotency::IdempotentCall;
use crate::item::{Item, Reader, Writer};
use crate::reconcile_lease::ReconcileHolder;
use crate::write::{Commit, Transaction, Updated, queried};
use crate::{Result, Store, StoreError, keys};

/// How long the row of a stopped worker stays readable.
const STOPPED_RETENTION: Millis = Millis::from_days(30);
/// Pages of one read of all workers. A page is 1 MB, which is more than 2 000 rows, and a pool has at most 1
/// 000 workers.
const MAX_PAGES: usize = 4;

impl Store {
    /// Returns the row of a worker that has not stopped, eventually consistent.
    pub async fn worker(&self, id: &WorkerId) -> Result<Option<Worker>> {
        self.get(keys::worker(id), false).await?.as_ref().map(worker_from).transpose()
    }

    /// Returns the row of a worker that has not stopped, strongly consistent.
    pub async fn worker_now(&self, id: &WorkerId) -> Result<Option<Worker>> {
        self.get(keys::worker(id), true).await?.as_ref().map(worker_from).transpose()
    }

    /// Returns the row of a stopped worker, until it expires.
    pub async fn stopped_worker(&self, id: &WorkerId, now: Timestamp) -> Result<Option<Worker>> {
        let Some(row) = self.get(keys::stopped_worker(id), false).await? else { return Ok(None) };
        if Reader::of(&row).is_expired(now)? {
            return Ok(None);
        }
        worker_from(&row).map(Some)
    }

    /// Returns all workers that have not stopped, strongly consistent.
    ///
    /// # Errors
    /// Returns an error if the table does not answer, there are too many workers, or a row is malformed.
    pub async fn workers(&self) -> Result<Vec<Worker>> {
        self.workers_each().await?.into_iter().collect()
    }

    /// Returns all workers that have not stopped, strongly consistent, because a plan must not spawn twice. A
    /// malformed row is an error of its own.
    ///
    /// # Errors
    /// Returns an error if the table does not answer or there are too many workers.
    pub async fn workers_each(&self) -> Result<Vec<Result<Worker>>> {
        let mut workers = Vec::new();
        let mut after = None;
        for _ in 0..MAX_PAGES {
            let query = self.query("#pk = :pk", [(":pk", keys::WORKERS.into())]).consistent_read(true);
            let answer = queried(query.set_exclusive_start_key(after)).await?;
            workers.extend(answer.items().iter().map(worker_from));
            after = answer.last_evaluated_key;
            if after.is_none() {
                return Ok(workers);
            }
        }
        Err(StoreError::TooMany("workers"))
    }

    /// Registers a worker without a conversation. No current or recently stopped worker may have its id. A
    /// reconcile run may register a worker only while it holds the reconcile lease; otherwise a run that was
    /// frozen for a long time could exceed the pool's size.
    pub async fn register_if_new(
        &self,
        worker: &Worker,
        holder: Option<&ReconcileHolder>,
        once: Option<&IdempotentCall>,
    ) -> Result<Commit> {
        self.commit_or_stale(registration(self.transaction(), worker, holder, once)).await
    }

    /// Records the machine and the volume of a worker, on condition that its row exists and is not stopping.
    /// A later machine would not be torn down.
    pub async fn machine_if_registered(
        &self,
        id: &WorkerId,
        machine: &Machine,
        volume: Option<&Volume>,
    ) -> Result<Commit> {
        let update = Update::of(keys::worker(id))
            .set("mc", machine_item(machine))
            .set_some("vo", volume.map(volume_item))
            .when("attribute_exists(#pk) AND #st <> :stopping")
            .bind(":stopping", "stopping");
        self.update_or_stale(update).await
    }

    /// Records a sign of life of a worker. Returns its row, or `None` if there is none.
    pub async fn seen_if_registered(&self, id: &WorkerId, now: Timestamp) -> Result<Option<Worker>> {
        let update = Update::of(keys::worker(id)).set("sn", now).when("attribute_exists(#pk)");
        match self.update(update).await? {
            Updated::Done(item) => worker_from(&item).map(Some),
            Updated::Refused(_) => Ok(None),
        }
    }

    /// Moves the row of a stopping worker to the partition of stopped workers.
    pub async fn stopped_if_stopping(&self, stopped: &Worker) -> Result<Commit> {
        let WorkerStatus::Stopped { at } = stopped.status else { return Ok(Commit::Stale) };
        let ttl = (at + STOPPED_RETENTION).as_ttl();
        let row = with_attributes(Writer::at(keys::stopped_worker(&stopped.id)), stopped).put("ttl", ttl);
        let transaction = self.transaction().delete_when_is(&keys::worker(&stopped.id), "st", "stopping");
        self.commit_or_stale(transaction.put(row.build())).await
    }
}

/// Adds the writes that register a worker to `transaction`.
pub(crate) fn registration(
    transaction: Transaction,
    worker: &Worker,
    holder: Option<&ReconcileHolder>,
    once: Option<&IdempotentCall>,
) -> Transaction {
    let row = with_attributes(Writer::at(keys::worker(&worker.id)), worker).build();
    let past = keys::stopped_worker(&worker.id);
    let transaction = transaction.put_new(row).check_absent(past, worker.registered_at);
    let transaction = transaction.record_call(once, worker.id.as_str());
    match holder {
        Some(holder) => transaction.require(&holder.holds()),
        None => transaction,
    }
}

/// Returns the worker's update of a claim by a worker without a conversation.
pub(crate) fn assign(id: &WorkerId, conversation: &Conversation, now: Timestamp) -> Update {
    Update::of(keys::worker(id))
        .set("as", assignment_item(&Assignment::to(conversation, now)))
        .set("sn", now)
        .when("#st = :active AND attribute_not_exists(#as)")
        .bind(":active", "active")
}

/// Returns the worker's update of a drain. It requires the assignment on which the drain was decided: after a
/// claim in between, the new conversation would not be marked as draining.
pub(crate) fn drain_row(worker: &Worker, drain_by: Timestamp, reason: DrainReason) -> Update {
    let update = Update::of(keys::worker(&worker.id))
        .set("st", "draining")
        .set("db", drain_by)
        .set("dr", reason.as_str())
        .when_is("st", "active");
    match &worker.assignment {
        Some(assignment) => update.when_is("as.ck", assignment.key.as_str()),
        None => update.when("attribute_not_exists(#as)"),
    }
}

/// Returns the worker's update when an operator frees its conversation `before`: the worker starts or continues to drain
/// without it, and its row keeps what the conversation knows of it.
pub(crate) fn freed_row(row: &Worker, before: &Conversation, now: Timestamp, policies: &Policies) -> Update {
    let owner = before.owner.as_ref();
    let mut update = Update::of(keys::worker(&row.id))
        .remove("as")
        .set("qs", now)
        .set_some("sn", row.seen_at.max(owner.and_then(|owner| owner.seen_at)))
        .set_some("lc", row.last_claim_at.max(owner.and_then(|owner| owner.claimed_at)));
    if row.status == WorkerStatus::Active {
        let drain_by = now + policies.scaling.drain_timeout;
        update = update.set("st", "draining").set("db", drain_by).set("dr", DrainReason::Operator.as_str());
    }
    update.when_is("st", row.status.name()).when_is("as.ck", before.key.as_str())
}

/// Returns the worker's update of a release. The time of its last claim is kept in the row, because the
/// assignment is removed.
pub(crate) fn release_row(worker: &Worker, claimed_at: Option<Timestamp>, now: Timestamp) -> Update {
    Update::of(keys::worker(&worker.id))
        .set("qs", now)
        .set("sn", now)
        .set_some("lc", claimed_at)
        .remove("as")
        .when_is("st", "active")
}

pub(crate) fn finish_drain_row(settled: &Worker, since: Timestamp) -> Update {
    Update::of(keys::worker(&settled.id))
        .set("st", "stopping")
        .set("si", since)
        .set_some("sn", settled.seen_at)
        .set_some("lc", settled.last_claim_at)
        .set_some("ss", settled.last_snapshot.as_ref().map(SnapshotId::as_str))
        .set_some("sm", settled.snapshot_missed.then_some(true))
        .remove("as")
        .when_is("st", "draining")
}

fn with_attributes(writer: Writer, worker: &Worker) -> Writer {
    let writer = writer
        .put("st", worker.status.name())
        .put("pr", worker.provider.as_str())
        .put_some("ap", worker.app.as_deref())
        .put("rg", worker.registered_at)
        .put("qs", worker.quiet_since)
        .put_some("sn", worker.seen_at)
        .put_some("as", worker.assignment.as_ref().map(assignment_item))
        .put_some("im", worker.image.as_deref())
        .put_some("vo", worker.volume.as_ref().map(volume_item))
        .put_some("mc", worker.machine.as_ref().map(machine_item))
        .put_some("lc", worker.last_claim_at)
        .put_some("ss", worker.last_snapshot.as_ref().map(SnapshotId::as_str))
        .put_some("sm", worker.snapshot_missed.then_some(true));
    let drained_for = worker.drained_for.map(DrainReason::as_str);
    match worker.status {
        WorkerStatus::Active => writer,
        WorkerStatus::Draining { drain_by, reason } => writer.put("db", drain_by).put("dr", reason.as_str()),
        WorkerStatus::Stopping { since } => writer.put("si", since).put_some("dr", drained_for),
        WorkerStatus::Stopped { at } => writer.put("so", at).put_some("dr", drained_for),
    }
}

fn assignment_item(assignment: &Assignment) -> Item {
    Writer::default()
        .put("cid", assignment.conversation.as_str())
        .put("ck", assignment.key.as_str())
        .put("ag", assignment.agent.as_str())
        .put("at", assignment.assigned_at)
        .build()
}

fn machine_item(machine: &Machine) -> Item {
    Writer::default()
        .put("app", machine.app.as_str())
        .put("id", machine.id.as_str())
        .put("rgn", machine.region.as_str())
        .build()
}

fn volume_item(volume: &Volume) -> Item {
    Writer::default().put("nm", volume.name.as_str()).put_some("id", volume.id.as_deref()).build()
}

pub(crate) fn worker_from(item: &Item) -> Result<Worker> {
    let reader = Reader::of(item);
    let status = match reader.text("st")? {
        "active" => WorkerStatus::Active,
        "draining" => WorkerStatus::Draining {
            drain_by: reader.time("db")?,
            // A reason that a newer version has written before a rollback: the worker finishes its message,
            // as with most reasons.
            reason: DrainReason::parse(reader.text("dr")?).unwrap_or(DrainReason::Operator),
        },
        "stopping" => WorkerStatus::Stopping { since: reader.time("si")? },
        "stopped" => WorkerStatus::Stopped { at: reader.time("so")? },
        _ => return Err(reader.malformed("st", "not a status")),
    };
    let is_drained = matches!(status, WorkerStatus::Stopping { .. } | WorkerStatus::Stopped { .. });
    let assignment = |r: Reader<'_>| -> Result<Assignment> {
        Ok(Assignment {
            conversation: r.id("cid", ConversationId::parse)?,
            key: r.id("ck", ConversationKey::parse)?,
            agent: r.id("ag", AgentKey::parse)?,
            assigned_at: r.time("at")?,
        })
    };
    let machine = |r: Reader<'_>| -> Result<Machine> {
        Ok(Machine { app: r.text("app")?.into(), id: r.text("id")?.into(), region: r.text("rgn")?.into() })
    };
    let volume = |r: Reader<'_>| -> Result<Volume> {
        Ok(Volume { name: r.text("nm")?.into(), id: r.text_if("id")?.map(str::to_owned) })
    };
    Ok(Worker {
        id: reader.id("sk", WorkerId::parse)?,
        provider: reader.text("pr")?.to_owned(),
        app: reader.text_if("ap")?.map(str::to_owned),
        status,
        registered_at: reader.time("rg")?,
        seen_at: reader.time_if("sn")?,
        quiet_since: reader.time("qs")?,
        assignment: reader.map_if("as")?.map(assignment).transpose()?,
        image: reader.text_if("im")?.map(str::to_owned),
        volume: reader.map_if("vo")?.map(volume).transpose()?,
        machine: reader.map_if("mc")?.map(machine).transpose()?,
        last_claim_at: reader.time_if("lc")?,
        last_snapshot: reader.id_if("ss", SnapshotId::parse)?,
        snapshot_missed: reader.flag("sm"),
        drained_for: reader.text_if("dr")?.and_then(DrainReason::parse).filter(|_| is_drained),
    })
}
