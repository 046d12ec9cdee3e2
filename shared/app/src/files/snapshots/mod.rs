//! Snapshots: what workers keep of a conversation's files for the worker after them, and how that ends.
//!
//! Files go between worker and bucket by presigned URLs, but for those of published images; only rows and decisions are
//! here.

mod expire;
mod fail;
mod final_snapshot;
mod finalize;
mod latest;
mod list;
mod prepare;
mod receive;

pub use expire::expire;
pub use fail::fail;
pub use final_snapshot::{fail_and_leave, finalize_and_leave};
pub use finalize::finalize;
pub(crate) use latest::fetched;
pub use latest::{Restorable, latest, to_restore};
pub use list::{SnapshotView, latest_of_user, of_user};
pub use prepare::{Announced, Prepared, prepare, prepare_unannounced};
pub use receive::receive;

use af_domain::conversation::Conversation;
use af_domain::ids::{SnapshotId, WorkerId};
use af_domain::policy::Policies;
use af_domain::refusal::{Code, Refusal};
use af_domain::snapshot::{FinalizeRefusal, Snapshot};
use af_domain::time::Timestamp;
use af_domain::worker::Worker;

use crate::{App, AppError};

/// Times that the end of an upload is decided anew when others change the conversation meanwhile.
const MAX_END_TRIES: usize = 5;
/// Where in the bucket archives lie.
const FOLDER: &str = "snapshots/";

/// Where a snapshot's archive lies in the bucket.
pub fn object_key(id: &SnapshotId) -> String {
    format!("{FOLDER}{id}")
}

/// The snapshot whose archive lies there.
fn snapshot_under(object_key: &str) -> Option<SnapshotId> {
    SnapshotId::parse(object_key.strip_prefix(FOLDER)?).ok()
}

/// A snapshot that this worker has made, with its conversation.
async fn own(app: &App, worker: &WorkerId, id: &SnapshotId) -> Result<(Snapshot, Conversation), AppError> {
    let key = id.parts().conversation;
    let (snapshot, conversation) = tokio::join!(app.store.snapshot(id), app.store.conversation(&key, true));
    let snapshot = snapshot?.filter(|s| &s.worker == worker);
    let both = snapshot.zip(conversation?);
    Ok(both.ok_or_else(|| Refusal::not_found(format!("snapshot {id} of this worker")))?)
}

fn refused(refusal: FinalizeRefusal) -> Refusal {
    match refusal {
        FinalizeRefusal::Superseded => {
            let detail = format!("{refusal}; keep nothing of it, another worker has the conversation");
            Refusal::new(Code::StaleSnapshot, detail)
        }
        FinalizeRefusal::Ended(_) => Refusal::new(Code::Conflict, format!("{refusal}; prepare another one")),
        FinalizeRefusal::Mismatch => {
            let detail =
                format!("{refusal}; put the announced bytes to the uploadUrl again, or fail the snapshot");
            Refusal::new(Code::Conflict, detail)
        }
    }
}

/// The row of a draining worker that leaves with the end of its final snapshot, and its conversation without it;
/// `None` when it does not leave by that: reconcile sees to it then.
async fn leaving(
    app: &App,
    snapshot: &Snapshot,
    conversation: &Conversation,
    now: Timestamp,
    policies: &Policies,
) -> Result<Option<(Worker, Conversation)>, AppError> {
    if !snapshot.reason.is_final() || !snapshot.is_current(conversation) || !conversation.owner_can_leave() {
        return Ok(None);
    }
    let row = app.store.worker(&snapshot.worker).await?;
    let settled = row.and_then(|row| row.finish_drain(now).ok());
    let freed = conversation.released_by(&snapshot.worker, now, policies);
    let claimed_at = conversation.owner.as_ref().and_then(|o| o.claimed_at);
    let both = settled.zip(freed);
    Ok(both.map(|(settled, freed)| (Worker { last_claim_at: claimed_at, ..settled }, freed)))
}
