//! `workerFinalizeSnapshotUpload {workerId, snapshotId, storageId, sha256, sizeBytes}` → boolean

use af_api::worker::compatible::FinalizeSnapshotArgs;
use af_app::AppError;
use af_app::files::snapshots::finalize_and_leave;
use af_domain::ids::Sha256Hex;
use af_domain::refusal::Refusal;
use af_domain::snapshot::Stored;

use crate::compatible::call::Call;
use crate::compatible::outcome::is_done;

/// Whether the snapshot is now its conversation's latest one; `false` when the conversation has moved on, or when the
/// uploaded archive is not the one that the caller describes.
///
/// # Errors
/// 404 when the snapshot is not the caller's.
pub async fn run(mut call: Call) -> Result<bool, AppError> {
    let args: FinalizeSnapshotArgs = call.args()?;
    let sha256 = Sha256Hex::parse(args.sha256.to_ascii_lowercase()).map_err(Refusal::from)?;
    let snapshot = args.snapshot_id.0;
    if args.storage_id != snapshot.as_str() {
        return Ok(false);
    }
    let content = Stored { size_bytes: args.size_bytes, sha256 };
    is_done(finalize_and_leave(&call.app, &call.objects, &call.worker, &snapshot, &content).await)
}
