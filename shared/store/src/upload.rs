//! What workers announce to upload, counted in their rows.

use af_domain::ids::WorkerId;
use af_domain::time::Timestamp;
use af_domain::upload::{MAX_AHEAD, time_of};
use af_domain::worker::Worker;

use crate::expression::Update;
use crate::worker::worker_from;
use crate::write::Updated;
use crate::{Store, StoreError, keys};

/// What became of counting an upload.
#[derive(Debug)]
pub enum Counted {
    /// It is counted, in this row.
    Done(Worker),
    /// It is not: the worker has no conversation or is going down, as its row says if there is one; else it is too much
    /// for now.
    Refused(Option<Worker>),
}

/// What became of the preparation of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepare {
    /// The snapshot may be uploaded.
    Done,
    /// Its worker has announced so much that it must wait.
    TooMuch,
    /// There is a snapshot of this id, or no such worker.
    Stale,
}

impl Store {
    /// Counts an upload of a worker that has a conversation.
    ///
    /// # Errors
    /// When the table cannot answer; an upload that is counted again is counted twice.
    pub async fn count_upload_if_allowed(
        &self,
        worker: &WorkerId,
        bytes: u64,
        now: Timestamp,
    ) -> Result<Counted, StoreError> {
        let update = counted(worker, bytes, now)
            .when("attribute_exists(#as) AND (#st = :active OR #st = :draining)")
            .bind(":active", "active")
            .bind(":draining", "draining");
        Ok(match self.update(update).await? {
            Updated::Done(row) => Counted::Done(worker_from(&row)?),
            Updated::Refused(row) => Counted::Refused(row.as_ref().map(worker_from).transpose()?),
        })
    }
}

/// The worker's part of an announcement.
pub(crate) fn counted(worker: &WorkerId, bytes: u64, now: Timestamp) -> Update {
    let worth = time_of(bytes);
    Update::of(keys::worker(worker))
        .set_to("ul", "if_not_exists(#ul, :now) + :worth")
        .when("attribute_exists(#pk)")
        .when("attribute_not_exists(#ul) OR #ul <= :latest")
        .bind(":now", now)
        .bind(":worth", worth.as_millis())
        .bind(":latest", now + MAX_AHEAD - worth)
}
