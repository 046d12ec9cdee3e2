//! Announced uploads, counted in the worker's row.

use af_domain::ids::WorkerId;
use af_domain::time::Timestamp;
use af_domain::upload::{MAX_AHEAD, allowance_time};
use af_domain::worker::Worker;

use crate::expression::Update;
use crate::worker::worker_from;
use crate::write::Updated;
use crate::{Result, Store, keys};

/// The result of counting an upload.
#[derive(Debug)]
pub enum Counted {
    /// The upload is counted. The value is the worker's row.
    Done(Worker),
    /// The upload is not counted: the worker has no conversation or is stopping, as its row shows (if there
    /// is one), or its allowance is used up for now.
    Refused(Option<Worker>),
}

/// The result of preparing a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepare {
    /// The snapshot may be uploaded.
    Done,
    /// The worker has used up its upload allowance and must wait.
    TooMuch,
    /// A snapshot with this id exists, or the worker does not exist.
    Stale,
}

impl Store {
    /// Counts an upload of a worker that has a conversation. A repeated call counts the upload twice.
    pub async fn count_upload_if_allowed(
        &self,
        worker: &WorkerId,
        bytes: u64,
        now: Timestamp,
    ) -> Result<Counted> {
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

/// Returns the update of the worker's row for an announcement.
pub(crate) fn counted(worker: &WorkerId, bytes: u64, now: Timestamp) -> Update {
    let worth = allowance_time(bytes);
    Update::of(keys::worker(worker))
        .set_to("ul", "if_not_exists(#ul, :now) + :worth")
        .when("attribute_exists(#pk)")
        .when("attribute_not_exists(#ul) OR #ul <= :latest")
        .bind(":now", now)
        .bind(":worth", worth.as_millis())
        .bind(":latest", now + MAX_AHEAD - worth)
}
