//! Broadcasts.
//!
//! A running broadcast is in the ready index. `rk` is the time at which another dispatcher may go on with it.

use af_domain::ids::{AgentKey, BroadcastId, CompanyId, ConsumerUserId};
use af_domain::policy::Policies;
use af_domain::push::{
    Broadcast, BroadcastCounts, BroadcastStatus, BroadcastTarget, Dispatch, DispatchStatus,
};
use af_domain::time::Timestamp;

use super::dispatch::{dispatch_from, recorded};
use crate::conversation::{Enqueued, EnqueuedWith, NewMessage, WRITES};
use crate::expression::Update;
use crate::idempotency::IdempotentCall;
use crate::item::{Item, Reader, Writer};
use crate::keys;
use crate::write::{Commit, Committed, Transaction, queried};
use crate::{Page, Result, Store};

/// A broadcast that a dispatcher may go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningBroadcast {
    /// The id.
    pub id: BroadcastId,
    /// The time in the index, which changes when a dispatcher takes the broadcast.
    pub due_at: Timestamp,
}

/// The result of a page of targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The place after the page.
    pub cursor: Option<BroadcastTarget>,
    /// The figures of the page.
    pub counts: BroadcastCounts,
    /// The end of the broadcast, if no target remains.
    pub ends: Option<(BroadcastStatus, Timestamp)>,
    /// The time until which other dispatchers leave the broadcast alone.
    pub held_until: Timestamp,
}

/// The result of progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advanced {
    /// The broadcast goes on.
    Running,
    /// It has ended, or an operator has cancelled it.
    Ended,
    /// Another dispatcher has made this progress. Nothing was written.
    Stale,
}

/// The result of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetSent {
    /// The target has its dispatch now.
    Done,
    /// The target had a dispatch with this status already.
    Known(DispatchStatus),
    /// The message was refused. Nothing was written.
    Refused(Enqueued),
}

impl Store {
    /// Returns a broadcast, strongly consistent.
    pub async fn broadcast(&self, id: &BroadcastId) -> Result<Option<Broadcast>> {
        self.get(keys::broadcast(id), true).await?.as_ref().map(broadcast_from).transpose()
    }

    /// Returns one page of the broadcasts of a company, the newest first, starting before the id `before`.
    pub async fn broadcasts(
        &self,
        company: &CompanyId,
        limit: i32,
        before: Option<&str>,
    ) -> Result<Page<Broadcast, String>> {
        let page = self.listed_before(keys::broadcasts_of_company(company), before, limit).await?;
        let ids = page.items.iter().map(id_from).collect::<Result<Vec<_>>>()?;
        let found = self.batch_get(ids.iter().map(keys::broadcast), false).await?;
        let mut items: Vec<Broadcast> = found.iter().map(broadcast_from).collect::<Result<_>>()?;
        items.sort_by(|one, other| other.id.cmp(&one.id));
        Ok(Page { items, next: page.next })
    }

    /// Returns running broadcasts that no dispatcher works on at `now`, eventually consistent.
    pub async fn due_broadcasts(&self, now: Timestamp, limit: i32) -> Result<Vec<RunningBroadcast>> {
        let values = [(":rp", keys::BROADCASTS.into()), (":until", keys::outbox_due(now).into())];
        let query = self.query("#rp = :rp AND #rk <= :until", values).index_name(keys::READY_INDEX);
        let running = |item: &Item| {
            let reader = Reader::of(item);
            let due_at = reader.text("rk")?.parse().map(Timestamp::from_millis);
            let due_at = due_at.map_err(|_| reader.malformed("rk", "not a time"))?;
            Ok(RunningBroadcast { id: id_from(item)?, due_at })
        };
        queried(query.limit(limit)).await?.items().iter().map(running).collect()
    }

    /// Stores a new broadcast. With `once`, the call is recorded. It is stale if the call was carried out before.
    pub async fn create_broadcast_if_absent(
        &self,
        broadcast: &Broadcast,
        once: Option<&IdempotentCall>,
    ) -> Result<Commit> {
        let transaction = self.transaction().put_new(broadcast_item(broadcast));
        self.commit_or_stale(transaction.record_call(once, broadcast.id.as_str())).await
    }

    /// Takes a broadcast until `until` and returns it; `None` if another dispatcher has taken it or it has ended.
    pub async fn take_broadcast_if_due(
        &self,
        running: &RunningBroadcast,
        until: Timestamp,
    ) -> Result<Option<Broadcast>> {
        let update = Update::of(keys::broadcast(&running.id))
            .set("rk", keys::outbox_due(until))
            .when_is("rk", keys::outbox_due(running.due_at));
        match self.commit_or_stale(self.transaction().update(update)).await? {
            Commit::Done => self.broadcast(&running.id).await,
            Commit::Stale => Ok(None),
        }
    }

    /// Sends to one target: stores its record and enqueues its message, all or nothing. A record without a message says why
    /// there is none.
    pub async fn send_to_target_if_absent(
        &self,
        record: &Dispatch,
        message: Option<&NewMessage>,
        policies: &Policies,
    ) -> Result<TargetSent> {
        let now = record.created_at;
        let add =
            |transaction: Transaction| recorded(transaction, std::slice::from_ref(record), now, policies);
        let committed = match message {
            Some(message) => match self.enqueue_with(message, now, policies, add).await? {
                EnqueuedWith::Enqueued(Enqueued::New) => return Ok(TargetSent::Done),
                EnqueuedWith::Enqueued(Enqueued::Duplicate { .. }) => {
                    return Ok(TargetSent::Known(DispatchStatus::Enqueued));
                }
                EnqueuedWith::Enqueued(refused) => return Ok(TargetSent::Refused(refused)),
                EnqueuedWith::Refused(committed) => committed,
            },
            None => self.commit(add(self.transaction())).await?,
        };
        let place = if message.is_some() { WRITES } else { 0 };
        Ok(match (&committed, committed.old_item(place)) {
            (Committed::Done, _) => TargetSent::Done,
            (Committed::Refused(_), Some(old)) => TargetSent::Known(dispatch_from(old)?.status),
            (Committed::Refused(_), None) => TargetSent::Known(record.status),
        })
    }

    /// Adds the figures of a page and moves the cursor, on condition that the cursor is still at `before`. A broadcast that
    /// was cancelled meanwhile gets the figures and stays cancelled.
    pub async fn advance_broadcast_if_unchanged(
        &self,
        id: &BroadcastId,
        before: Option<&BroadcastTarget>,
        progress: &Progress,
    ) -> Result<Advanced> {
        let running = match progress.ends {
            Some((status, at)) => {
                moved(id, before, progress).set("st", status.as_str()).set("da", at).remove("rp").remove("rk")
            }
            None => moved(id, before, progress).set("rk", keys::outbox_due(progress.held_until)),
        };
        let running = running.when("#st = :running").bind(":running", BroadcastStatus::Running.as_str());
        let committed = self.commit(self.transaction().update(running)).await?;
        if committed.is_done() {
            return Ok(if progress.ends.is_none() { Advanced::Running } else { Advanced::Ended });
        }
        let current = committed.old_item(0).map(broadcast_from).transpose()?;
        if current.is_none_or(|current| current.status != BroadcastStatus::Cancelled)
            || progress.cursor.as_ref() == before
        {
            return Ok(Advanced::Stale);
        }
        let cancelled = moved(id, before, progress)
            .when("#st = :cancelled")
            .bind(":cancelled", BroadcastStatus::Cancelled.as_str());
        Ok(match self.commit_or_stale(self.transaction().update(cancelled)).await? {
            Commit::Done => Advanced::Ended,
            Commit::Stale => Advanced::Stale,
        })
    }

    /// Cancels a broadcast. It is stale if it does not run.
    pub async fn cancel_broadcast_if_running(&self, id: &BroadcastId, now: Timestamp) -> Result<Commit> {
        let update = Update::of(keys::broadcast(id))
            .set("st", BroadcastStatus::Cancelled.as_str())
            .set("da", now)
            .remove("rp")
            .remove("rk")
            .when("#st = :running")
            .bind(":running", BroadcastStatus::Running.as_str());
        self.commit_or_stale(self.transaction().update(update)).await
    }
}

fn moved(id: &BroadcastId, before: Option<&BroadcastTarget>, progress: &Progress) -> Update {
    let update = Update::of(keys::broadcast(id))
        .set_to("nt", "#nt + :targets")
        .set_to("ne", "#ne + :enqueued")
        .set_to("nf", "#nf + :failed")
        .set_some("cu", progress.cursor.as_ref().map(encode_cursor))
        .bind(":targets", progress.counts.targets)
        .bind(":enqueued", progress.counts.enqueued)
        .bind(":failed", progress.counts.failed);
    match before {
        Some(before) => update.when("#cu = :before").bind(":before", encode_cursor(before)),
        None => update.when("attribute_not_exists(#cu)"),
    }
}

/// The key of an agent contains no `#`.
fn encode_cursor(target: &BroadcastTarget) -> String {
    match &target.user {
        Some(user) => format!("{}#{user}", target.agent),
        None => target.agent.to_string(),
    }
}

fn cursor_from(reader: &Reader<'_>) -> Result<Option<BroadcastTarget>> {
    let Some(text) = reader.text_if("cu")? else { return Ok(None) };
    let (agent, user) = text.split_once('#').map_or((text, None), |(agent, user)| (agent, Some(user)));
    let malformed = |_| reader.malformed("cu", "not a target");
    let user = user.map(ConsumerUserId::parse).transpose().map_err(malformed)?;
    Ok(Some(BroadcastTarget { agent: AgentKey::parse(agent).map_err(malformed)?, user }))
}

fn id_from(item: &Item) -> Result<BroadcastId> {
    Reader::of(item).id_after("BC#", "pk", BroadcastId::parse)
}

fn broadcast_item(broadcast: &Broadcast) -> Item {
    Writer::at(keys::broadcast(&broadcast.id))
        .put("co", broadcast.company.as_str())
        .put("ti", broadcast.title.as_str())
        .put("tx", broadcast.text.as_str())
        .put("by", broadcast.requested_by.as_str())
        .put("st", broadcast.status.as_str())
        .put("nt", broadcast.counts.targets)
        .put("ne", broadcast.counts.enqueued)
        .put("nf", broadcast.counts.failed)
        .put("at", broadcast.created_at)
        .put("rp", keys::BROADCASTS)
        .put("rk", keys::outbox_due(broadcast.created_at))
        .put("lp", keys::broadcasts_of_company(&broadcast.company))
        .put("lk", broadcast.id.as_str())
        .build()
}

fn broadcast_from(item: &Item) -> Result<Broadcast> {
    let reader = Reader::of(item);
    Ok(Broadcast {
        id: id_from(item)?,
        company: reader.id("co", CompanyId::parse)?,
        title: reader.text("ti")?.to_owned(),
        text: reader.text("tx")?.to_owned(),
        requested_by: reader.text("by")?.to_owned(),
        status: BroadcastStatus::parse(reader.text("st")?)
            .ok_or_else(|| reader.malformed("st", "not a status"))?,
        counts: BroadcastCounts {
            targets: reader.number("nt")?,
            enqueued: reader.number("ne")?,
            failed: reader.number("nf")?,
        },
        cursor: cursor_from(&reader)?,
        created_at: reader.time("at")?,
        completed_at: reader.time_if("da")?,
    })
}
