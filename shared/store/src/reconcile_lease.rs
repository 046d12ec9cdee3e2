//! The reconcile lease: only one reconcile runs at a time. A trigger that finds the lease held marks it dirty
//! and returns; the holder then runs once more. The item also contains the report of the last run and the
//! state for the next run.

use af_domain::pool::{ForeignCounts, Orphan, ReconcileState};
use af_domain::time::{Millis, Timestamp};

use crate::expression::Update;
use crate::item::{Item, Reader, Writer};
use crate::write::Updated;
use crate::{Result, Store, StoreError, keys};

/// How long a reconcile may hold the lease. It is longer than the time limit of its function, so that a live
/// holder never loses it, and short enough that a dead holder does not block the pool.
pub const RECONCILE_LEASE: Millis = Millis::from_secs(90);

/// How often a trigger tries to take or mark the lease. Each further attempt means that a holder came or left
/// in between.
const MAX_TAKE_TRIES: usize = 5;

/// A reconcile run that holds the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileHolder {
    /// The fence. It grows with every holder.
    pub fence: u64,
    /// The state left by the last run.
    pub state: ReconcileState,
}

/// The result of releasing the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// The lease is free.
    Done,
    /// A trigger came in between. The holder must run once more; it still holds the lease.
    RunAgain,
    /// Another run holds the lease, because this holder's time was up.
    Lost,
}

impl ReconcileHolder {
    /// The condition of writes that only the holder may make: it still holds the lease.
    pub(crate) fn holds(&self) -> Update {
        let lease = Update::of(keys::reconcile()).bind(":fence", self.fence);
        lease.when("#fn = :fence AND attribute_exists(#ex)")
    }
}

impl Store {
    /// Takes the lease. If another run holds it, the lease is marked dirty instead. `nonce` is random and
    /// distinguishes a repeated attempt from another run.
    pub async fn begin_reconcile(&self, nonce: u64, now: Timestamp) -> Result<Option<ReconcileHolder>> {
        for _ in 0..MAX_TAKE_TRIES {
            if let Some(taken) = self.take_reconcile(nonce, now).await? {
                return Ok(Some(taken));
            }
            let mark = Update::of(keys::reconcile()).set("di", true).when("attribute_exists(#ex)");
            if let Updated::Done(_) = self.update(mark).await? {
                return Ok(None);
            }
            // The holder left between the two writes. The lease is free, or another run has taken it.
        }
        Err(StoreError::Contention("begin_reconcile"))
    }

    async fn take_reconcile(&self, nonce: u64, now: Timestamp) -> Result<Option<ReconcileHolder>> {
        let take = Update::of(keys::reconcile())
            .set_to("fn", "if_not_exists(#fn, :zero) + :one")
            .set("ex", now + RECONCILE_LEASE)
            .set("no", nonce)
            .remove("di")
            .bind(":zero", 0_u64)
            .bind(":one", 1_u64)
            .bind(":now", now)
            .when("attribute_not_exists(#ex) OR #ex <= :now");
        match self.update(take).await? {
            Updated::Done(item) => holder_from(&item).map(Some),
            Updated::Refused(old) => {
                // The current holder may be this call itself, if the response to an earlier attempt was lost.
                let Some(old) = old else { return Ok(None) };
                let held = Reader::of(&old);
                let ours = held.number_if("no")? == Some(nonce) && held.time_if("ex")?.is_some();
                ours.then(|| holder_from(&old)).transpose()
            }
        }
    }

    /// Releases the lease and stores the report of the run and the state for the next run, unless a trigger
    /// came in between.
    pub async fn end_reconcile(
        &self,
        holder: &ReconcileHolder,
        report: &str,
        state: &ReconcileState,
        now: Timestamp,
    ) -> Result<Released> {
        let report = Writer::default().put("at", now).put("js", report).build();
        let state = state_item(state);
        let release = Update::of(keys::reconcile())
            .set("rp0", report.clone())
            .set("me", state.clone())
            .remove("ex")
            .when("#fn = :fence AND attribute_not_exists(#di)")
            .bind(":fence", holder.fence);
        if let Updated::Done(_) = self.update(release).await? {
            return Ok(Released::Done);
        }
        let keep = Update::of(keys::reconcile())
            .set("rp0", report)
            .set("me", state)
            .set("ex", now + RECONCILE_LEASE)
            .remove("di")
            .when("#fn = :fence AND attribute_exists(#ex)")
            .bind(":fence", holder.fence);
        Ok(match self.update(keep).await? {
            Updated::Done(_) => Released::RunAgain,
            Updated::Refused(_) => Released::Lost,
        })
    }

    /// Releases the lease after a failed run, and stores the state for the next run.
    pub async fn abandon_reconcile(&self, holder: &ReconcileHolder, state: &ReconcileState) -> Result<()> {
        let free = Update::of(keys::reconcile())
            .set("me", state_item(state))
            .remove("ex")
            .remove("di")
            .when_is("fn", holder.fence);
        self.update(free).await.map(drop)
    }

    /// Returns the state left by the last run.
    pub async fn reconcile_state(&self) -> Result<ReconcileState> {
        let item = self.get(keys::reconcile(), false).await?;
        item.as_ref().map(state_from).transpose().map(Option::unwrap_or_default)
    }

    /// Returns the report of the last run and when the run ended.
    pub async fn last_reconcile(&self) -> Result<Option<(Timestamp, String)>> {
        let Some(item) = self.get(keys::reconcile(), false).await? else { return Ok(None) };
        let Some(report) = Reader::of(&item).map_if("rp0")? else { return Ok(None) };
        Ok(Some((report.time("at")?, report.text("js")?.to_owned())))
    }
}

fn holder_from(item: &Item) -> Result<ReconcileHolder> {
    Ok(ReconcileHolder { fence: Reader::of(item).number("fn")?, state: state_from(item)? })
}

fn state_item(state: &ReconcileState) -> Item {
    let (mut machines, mut volumes) = (Writer::default(), Writer::default());
    for (orphan, since) in &state.orphans {
        match orphan {
            Orphan::Machine(id) => machines = machines.put(id, *since),
            Orphan::Volume(id) => volumes = volumes.put(id, *since),
        }
    }
    let (machine, volume) = match &state.tried {
        Some(Orphan::Machine(id)) => (Some(id.as_str()), None),
        Some(Orphan::Volume(id)) => (None, Some(id.as_str())),
        None => (None, None),
    };
    let some = |item: Item| (!item.is_empty()).then_some(item);
    let count = |number: u64| (number > 0).then_some(number);
    Writer::default()
        .put_some("sf", count(state.failures))
        .put_some("sa", state.failed_at)
        .put_some("su", state.paused_until)
        .put_some("la", state.last_full_listing_at)
        .put_some("tm", machine)
        .put_some("tv", volume)
        .put_some("ta", state.stuck_tried_at)
        .put_some("om", some(machines.build()))
        .put_some("ov", some(volumes.build()))
        .put_some("fm", count(state.foreign.machines as u64))
        .put_some("fv", count(state.foreign.volumes as u64))
        .put_some("sh", state.is_short.then_some(true))
        .build()
}

fn state_from(item: &Item) -> Result<ReconcileState> {
    let Some(reader) = Reader::of(item).map_if("me")? else { return Ok(ReconcileState::default()) };
    let count = |name: &str| -> Result<usize> {
        Ok(usize::try_from(reader.number_if(name)?.unwrap_or_default()).unwrap_or(usize::MAX))
    };
    let mut state = ReconcileState {
        failures: reader.number_if("sf")?.unwrap_or_default(),
        failed_at: reader.time_if("sa")?,
        paused_until: reader.time_if("su")?,
        last_full_listing_at: reader.time_if("la")?,
        stuck_tried_at: reader.time_if("ta")?,
        foreign: ForeignCounts { machines: count("fm")?, volumes: count("fv")? },
        is_short: reader.flag("sh"),
        ..ReconcileState::default()
    };
    for (name, last, orphan) in
        [("om", "tm", Orphan::Machine as fn(String) -> Orphan), ("ov", "tv", Orphan::Volume)]
    {
        if let Some(id) = reader.text_if(last)? {
            state.tried = Some(orphan(id.to_owned()));
        }
        let Some(since) = reader.map_if(name)? else { continue };
        for id in since.names() {
            state.orphans.insert(orphan(id.to_owned()), since.time(id)?);
        }
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_for_the_next_run_survives_being_stored() {
        let at = Timestamp::from_millis(5);
        let state = ReconcileState {
            failures: 4,
            failed_at: Some(at),
            paused_until: Some(at),
            last_full_listing_at: Some(at),
            orphans: [(Orphan::Machine("m1".into()), at), (Orphan::Volume("v1".into()), at)].into(),
            tried: Some(Orphan::Machine("m1".into())),
            stuck_tried_at: Some(at),
            foreign: ForeignCounts { machines: 2, volumes: 0 },
            is_short: true,
        };
        let other = ReconcileState { tried: Some(Orphan::Volume("v1".into())), ..state.clone() };
        for state in [state, other, ReconcileState::default()] {
            let item = Writer::default().put("me", state_item(&state)).build();
            assert_eq!(state_from(&item).unwrap(), state);
        }
        assert_eq!(state_from(&Item::new()).unwrap(), ReconcileState::default());
    }
}
