//! Dispatches: the transaction that ends a slot, and the lists of what was dispatched.

use af_domain::ids::{AgentKey, BroadcastId, ConsumerUserId, MessageId, PushJobId, RunKey};
use af_domain::policy::Policies;
use af_domain::push::{Dispatch, DispatchSource, DispatchStatus, PushJob, Slot};
use af_domain::time::{Millis, Timestamp};

use super::job::unchanged;
use crate::conversation::{Enqueued, EnqueuedWith, NewMessage, WRITES};
use crate::expression::Update;
use crate::idempotency::IdempotentCall;
use crate::item::{Item, Reader, Writer};
use crate::keys::{self, Key};
use crate::write::{Committed, Transaction, queried};
use crate::{Page, Result, Store, StoreError};

/// The end of one or more slots of a job.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// The job as it was read.
    pub job: &'a PushJob,
    /// The records, at most 91.
    pub records: &'a [Dispatch],
    /// The message of the record that is enqueued.
    pub message: Option<&'a NewMessage>,
    /// The slot that the job waits for then.
    pub next: Slot,
    /// When a dispatcher looks at the job again, if it cannot wait for a slot.
    pub look_again_at: Option<Timestamp>,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dispatched {
    /// The run is recorded, and the job waits for its next slot.
    Done,
    /// The job has changed since it was read. Nothing was written.
    Stale,
    /// A record of this run, or its message, exists already. Nothing was written.
    Known,
    /// The message was refused. Nothing was written.
    Refused(Enqueued),
}

/// The result of a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Triggered {
    /// The message is enqueued.
    Done,
    /// The call was carried out before, or another trigger has the same time. Nothing was written.
    Stale,
    /// The job does not exist any more. Nothing was written.
    Gone,
    /// The message was refused. Nothing was written.
    Refused(Enqueued),
}

impl Store {
    /// Ends slots of a job: stores their records, enqueues the message and moves the job on, all or nothing.
    pub async fn dispatch_if_unchanged(
        &self,
        run: &Run<'_>,
        now: Timestamp,
        policies: &Policies,
    ) -> Result<Dispatched> {
        let last = run.records.last().filter(|record| record.status != DispatchStatus::Skipped);
        let advanced = unchanged(run.job)
            .set("nx", run.next.at)
            .set("nd", run.next.day.to_string())
            .set("rp", keys::PUSH_JOBS)
            .set("rk", keys::outbox_due(run.look_again_at.unwrap_or(run.next.at)))
            .set_some("lr", last.map(|record| record.created_at))
            .set_some("lrk", last.map(|record| record.run_key.as_str()))
            .set("v", run.job.version + 1);
        let add = |transaction: Transaction| {
            recorded(transaction.update(advanced.clone()), run.records, now, policies)
        };
        let committed = match run.message {
            Some(message) => match self.enqueue_with(message, now, policies, add).await? {
                EnqueuedWith::Enqueued(Enqueued::New) => return Ok(Dispatched::Done),
                EnqueuedWith::Enqueued(Enqueued::Duplicate { .. }) => return Ok(Dispatched::Known),
                EnqueuedWith::Enqueued(refused) => return Ok(Dispatched::Refused(refused)),
                EnqueuedWith::Refused(committed) => committed,
            },
            None => self.commit(add(self.transaction())).await?,
        };
        let place_of_job = if run.message.is_some() { WRITES } else { 0 };
        Ok(match committed {
            Committed::Done => Dispatched::Done,
            refused if refused.failed_condition(place_of_job).is_some() => Dispatched::Stale,
            Committed::Refused(_) => Dispatched::Known,
        })
    }

    /// Enqueues the message of a job that a caller has triggered, and records it. With `once`, the call is recorded.
    pub async fn trigger_if_new(
        &self,
        job: &PushJob,
        record: &Dispatch,
        message: &NewMessage,
        once: Option<&IdempotentCall>,
        policies: &Policies,
    ) -> Result<Triggered> {
        let now = record.created_at;
        let noted = Update::of(keys::push_job(&job.user, &job.agent, &job.id))
            .set("lr", now)
            .set("lrk", record.run_key.as_str())
            .set_to("v", "#v + :one")
            .when("attribute_exists(#pk)")
            .bind(":one", 1_u64);
        let add = |transaction: Transaction| {
            let transaction = transaction.update(noted.clone());
            let transaction = recorded(transaction, std::slice::from_ref(record), now, policies);
            transaction.record_call(once, record.run_key.as_str())
        };
        Ok(match self.enqueue_with(message, now, policies, add).await? {
            EnqueuedWith::Enqueued(Enqueued::New) => Triggered::Done,
            EnqueuedWith::Enqueued(Enqueued::Duplicate { .. }) => Triggered::Stale,
            EnqueuedWith::Enqueued(refused) => Triggered::Refused(refused),
            EnqueuedWith::Refused(committed) if committed.failed_condition(WRITES).is_some() => {
                Triggered::Gone
            }
            EnqueuedWith::Refused(_) => Triggered::Stale,
        })
    }

    /// Returns a dispatch, strongly consistent.
    pub async fn push_dispatch(&self, run: &RunKey, now: Timestamp) -> Result<Option<Dispatch>> {
        let Some(item) = self.get(keys::push_dispatch(run), true).await? else { return Ok(None) };
        if Reader::of(&item).is_expired(now)? { Ok(None) } else { dispatch_from(&item).map(Some) }
    }

    /// Returns one page of the dispatches of the job or broadcast with this id. Those of a job are ordered by slot, the
    /// latest first. `after` is the `next` of the page before.
    pub async fn push_dispatches_of(
        &self,
        id: &str,
        now: Timestamp,
        limit: i32,
        after: Option<&str>,
    ) -> Result<Page<Dispatch, String>> {
        let pk = keys::push_dispatches_of(id);
        let start = after.map(|sk| Key { pk: pk.clone(), sk: sk.to_owned() }.attributes());
        let query = self.query("#pk = :pk", [(":pk", pk.into())]).set_exclusive_start_key(start);
        let query = query.scan_index_forward(false).consistent_read(true).limit(limit);
        let page = queried(query).await?;
        let next = page.last_evaluated_key.as_ref();
        let next = next.map(|key| Reader::of(key).text("sk").map(str::to_owned)).transpose()?;
        Ok(Page { items: kept(page.items(), now)?, next })
    }

    /// Returns one page of the dispatches to a user of an agent, the newest first; without a user, those of broadcasts to an
    /// agent without users. `before` is the `next` of the page before.
    pub async fn push_dispatches_of_agent(
        &self,
        agent: &AgentKey,
        user: Option<&ConsumerUserId>,
        now: Timestamp,
        limit: i32,
        before: Option<&str>,
    ) -> Result<Page<Dispatch, String>> {
        let lp = keys::push_dispatches_of_agent(agent, user);
        let page = self.listed_before(lp, before, limit).await?;
        let key = |item: &Item| {
            let reader = Reader::of(item);
            Ok(Key { pk: reader.text("pk")?.to_owned(), sk: reader.text("sk")?.to_owned() })
        };
        let wanted = page.items.iter().map(key).collect::<Result<Vec<_>>>()?;
        let mut items = kept(&self.batch_get(wanted.into_iter(), false).await?, now)?;
        items.sort_by_key(|dispatch| std::cmp::Reverse(list_key(dispatch)));
        Ok(Page { items, next: page.next })
    }
}

/// Adds new records, and counts them for their user.
pub(super) fn recorded(
    mut transaction: Transaction,
    records: &[Dispatch],
    now: Timestamp,
    policies: &Policies,
) -> Transaction {
    let kept_for = policies.retention.dispatch;
    for record in records {
        transaction = transaction.put_new_at(dispatch_item(record, kept_for), now);
    }
    match records.last() {
        Some(Dispatch { user: Some(user), agent, created_at, .. }) => transaction.update(
            Update::of(keys::push_stats(user, agent))
                .set_to("td", "if_not_exists(#td, :zero) + :more")
                .set("ld", *created_at)
                .bind(":zero", 0_u64)
                .bind(":more", records.len() as u64),
        ),
        _ => transaction,
    }
}

fn kept(items: &[Item], now: Timestamp) -> Result<Vec<Dispatch>> {
    let mut kept = Vec::with_capacity(items.len());
    for item in items {
        if !Reader::of(item).is_expired(now)? {
            kept.push(dispatch_from(item)?);
        }
    }
    Ok(kept)
}

fn list_key(dispatch: &Dispatch) -> String {
    format!("{:013}#{}", dispatch.created_at.as_millis(), dispatch.run_key)
}

fn dispatch_item(dispatch: &Dispatch, kept_for: Millis) -> Item {
    Writer::at(keys::push_dispatch(&dispatch.run_key))
        .put("rn", dispatch.run_key.as_str())
        .put_some("u", dispatch.user.as_ref().map(ConsumerUserId::as_str))
        .put("ag", dispatch.agent.as_str())
        .put("sf", dispatch.scheduled_for)
        .put("st", dispatch.status.as_str())
        .put_some("m", dispatch.message.as_ref().map(MessageId::as_str))
        .put_some("er", dispatch.error.as_deref())
        .put("at", dispatch.created_at)
        .put("lp", keys::push_dispatches_of_agent(&dispatch.agent, dispatch.user.as_ref()))
        .put("lk", list_key(dispatch))
        .put("ttl", (dispatch.created_at + kept_for).as_ttl())
        .build()
}

pub(super) fn dispatch_from(item: &Item) -> Result<Dispatch> {
    let reader = Reader::of(item);
    let run_key = reader.id("rn", RunKey::parse)?;
    let (mode, id, _) = run_key.parts();
    let malformed = |_| StoreError::malformed(run_key.as_str(), "rn: not a run");
    let source = match mode {
        "broadcast" => DispatchSource::Broadcast(BroadcastId::parse(id).map_err(malformed)?),
        _ => DispatchSource::Job(PushJobId::parse(id).map_err(malformed)?),
    };
    Ok(Dispatch {
        source,
        user: reader.id_if("u", ConsumerUserId::parse)?,
        agent: reader.id("ag", AgentKey::parse)?,
        scheduled_for: reader.time("sf")?,
        status: DispatchStatus::parse(reader.text("st")?)
            .ok_or_else(|| reader.malformed("st", "not a status"))?,
        message: reader.id_if("m", MessageId::parse)?,
        error: reader.text_if("er")?.map(str::to_owned),
        created_at: reader.time("at")?,
        run_key,
    })
}
