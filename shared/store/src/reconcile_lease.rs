//! The reconcile lease: one reconcile at a time. A trigger that finds it held marks it dirty and leaves; the
//! holder runs once more. It also keeps the report of the last run.

use af_domain::time::{Millis, Timestamp};

use crate::expression::Update;
use crate::item::{Reader, Writer};
use crate::write::Updated;
use crate::{Store, StoreError, keys};

/// How long a reconcile may hold the lease: longer than its function's time limit, so that a live holder never
/// loses it, and short enough that a dead one does not stop the pool.
pub const RECONCILE_LEASE: Millis = Millis::from_secs(90);

/// Tries to take the lease or to mark it. Each further one means that a holder came or left in between.
const TAKE_TRIES_MAX: usize = 5;

/// A reconcile that holds the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileHolder {
    /// Grows with every holder.
    pub fence: u64,
}

/// What became of giving the lease back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// Nobody holds it.
    Done,
    /// A trigger came meanwhile: run once more, the lease is still held.
    RunAgain,
    /// Somebody else holds it: our time was up.
    Lost,
}

impl ReconcileHolder {
    /// What a write requires that only a holder may make: that the lease is still this one's.
    pub(crate) fn holds(&self) -> Update {
        let lease = Update::of(keys::reconcile()).bind(":fence", self.fence);
        lease.when("#fn = :fence AND attribute_exists(#ex)")
    }
}

impl Store {
    /// Takes the lease, unless somebody holds it: then it is marked dirty. `nonce` is random, and tells a repeated
    /// sending from another's.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn begin_reconcile(
        &self,
        nonce: u64,
        now: Timestamp,
    ) -> Result<Option<ReconcileHolder>, StoreError> {
        for _ in 0..TAKE_TRIES_MAX {
            if let Some(taken) = self.take_reconcile(nonce, now).await? {
                return Ok(Some(taken));
            }
            let mark = Update::of(keys::reconcile()).set("di", true).when("attribute_exists(#ex)");
            if let Updated::Done(_) = self.update(mark).await? {
                return Ok(None);
            }
            // The holder left between the two writes: its lease is free, or somebody else's.
        }
        Err(StoreError::Contention { operation: "begin_reconcile" })
    }

    async fn take_reconcile(
        &self,
        nonce: u64,
        now: Timestamp,
    ) -> Result<Option<ReconcileHolder>, StoreError> {
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
            Updated::Done(item) => Ok(Some(ReconcileHolder { fence: Reader::of(&item).number("fn")? })),
            Updated::Refused(old) => {
                // The holder may be ourselves: the answer to a first sending was lost.
                let Some(old) = old else { return Ok(None) };
                let held = Reader::of(&old);
                let ours = held.number_if("no")? == Some(nonce) && held.time_if("ex")?.is_some();
                Ok(if ours { Some(ReconcileHolder { fence: held.number("fn")? }) } else { None })
            }
        }
    }

    /// Gives the lease back with the report of the run, unless a trigger came meanwhile.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn end_reconcile(
        &self,
        holder: &ReconcileHolder,
        report: &str,
        now: Timestamp,
    ) -> Result<Released, StoreError> {
        let report = Writer::default().put("at", now).put("js", report).build();
        let release = Update::of(keys::reconcile())
            .set("rp0", report.clone())
            .remove("ex")
            .when("#fn = :fence AND attribute_not_exists(#di)")
            .bind(":fence", holder.fence);
        if let Updated::Done(_) = self.update(release).await? {
            return Ok(Released::Done);
        }
        let keep = Update::of(keys::reconcile())
            .set("rp0", report)
            .set("ex", now + RECONCILE_LEASE)
            .remove("di")
            .when("#fn = :fence AND attribute_exists(#ex)")
            .bind(":fence", holder.fence);
        Ok(match self.update(keep).await? {
            Updated::Done(_) => Released::RunAgain,
            Updated::Refused(_) => Released::Lost,
        })
    }

    /// Gives the lease up after a run that failed.
    ///
    /// # Errors
    /// When the table cannot answer.
    pub async fn abandon_reconcile(&self, holder: &ReconcileHolder) -> Result<(), StoreError> {
        let free = Update::of(keys::reconcile())
            .remove("ex")
            .remove("di")
            .when("#fn = :fence")
            .bind(":fence", holder.fence);
        self.update(free).await.map(drop)
    }

    /// The report of the last run and when it ended.
    ///
    /// # Errors
    /// When the table cannot answer, or the item is malformed.
    pub async fn last_reconcile(&self) -> Result<Option<(Timestamp, String)>, StoreError> {
        let Some(item) = self.get(keys::reconcile(), false).await? else { return Ok(None) };
        let Some(report) = Reader::of(&item).map_if("rp0")? else { return Ok(None) };
        Ok(Some((report.time("at")?, report.text("js")?.to_owned())))
    }
}
