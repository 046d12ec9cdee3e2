//! The snapshots of a worker: object keys, ownership and the end of an upload.

use af_domain::conversation::Conversation;
use af_domain::ids::{SnapshotId, WorkerId};
use af_domain::policy::Policies;
use af_domain::refusal::{Code, Refusal};
use af_domain::snapshot::{FinalizeRefusal, Snapshot};
use af_domain::time::Timestamp;
use af_domain::worker::Worker;

use crate::{App, Result};

/// How often the end of an upload is decided again if concurrent calls change the conversation.
pub(super) const MAX_END_TRIES: usize = 5;
/// The prefix of archives in the bucket.
pub(super) const FOLDER: &str = "snapshots/";

/// Returns the object key of a snapshot's archive.
pub fn object_key(id: &SnapshotId) -> String {
    format!("{FOLDER}{id}")
}

/// Returns the snapshot with this object key.
pub(super) fn snapshot_under(object_key: &str) -> Option<SnapshotId> {
    SnapshotId::parse(object_key.strip_prefix(FOLDER)?).ok()
}

/// Returns a snapshot of this worker, with its conversation.
pub(super) async fn own(app: &App, worker: &WorkerId, id: &SnapshotId) -> Result<(Snapshot, Conversation)> {
    let key = id.parts().conversation;
    let (snapshot, conversation) = tokio::join!(app.store.snapshot(id), app.store.conversation(&key, true));
    let snapshot = snapshot?.filter(|s| &s.worker == worker);
    let both = snapshot.zip(conversation?);
    Ok(both.ok_or_else(|| Refusal::not_found(format!("snapshot {id} of this worker")))?)
}

pub(super) fn refused(refusal: FinalizeRefusal) -> Refusal {
    match refusal {
        FinalizeRefusal::Superseded => {
            let detail = format!("{refusal}; discard the snapshot, another worker has the conversation");
            Refusal::new(Code::StaleSnapshot, detail)
        }
        FinalizeRefusal::Ended(_) => Refusal::new(Code::Conflict, format!("{refusal}; prepare another one")),
        FinalizeRefusal::Mismatch => {
            let detail = format!(
                "{refusal}; upload the announced archive to the uploadUrl again, or fail the snapshot"
            );
            Refusal::new(Code::Conflict, detail)
        }
    }
}

/// Returns the row of a draining worker after its final snapshot, and the freed conversation. Returns `None`
/// if the worker does not stop with this snapshot; reconcile handles it then.
pub(super) async fn leaving(
    app: &App,
    snapshot: &Snapshot,
    conversation: &Conversation,
    now: Timestamp,
    policies: &Policies,
) -> Result<Option<(Worker, Conversation)>> {
    if !snapshot.reason.is_final() || !snapshot.is_current(conversation) || !conversation.owner_can_leave() {
        return Ok(None);
    }
    let row = app.store.worker(&snapshot.worker).await?;
    let stopping = row.and_then(|row| row.finish_drain(Some(conversation), now).ok());
    let freed = conversation.released_by(&snapshot.worker, now, policies);
    Ok(stopping.zip(freed))
}
