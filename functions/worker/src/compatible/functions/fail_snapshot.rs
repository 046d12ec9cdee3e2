//! `workerFailSnapshotUpload {workerId, snapshotId, error}` → boolean

use af_api::worker::compatible::FailSnapshotArgs;
use af_app::AppError;
use af_app::files::snapshots::fail_and_leave;

use crate::compatible::call::Call;
use crate::compatible::outcome::is_done;

/// Whether the snapshot has failed; `false` when it is ready or has expired.
///
/// # Errors
/// 404 when the snapshot is not the caller's.
pub async fn run(mut call: Call) -> Result<bool, AppError> {
    let args: FailSnapshotArgs = call.args()?;
    is_done(fail_and_leave(&call.app, &call.worker, &args.snapshot_id.0, &args.error).await)
}
