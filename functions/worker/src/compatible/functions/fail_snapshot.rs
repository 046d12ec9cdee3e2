//! `workerFailSnapshotUpload {workerId, snapshotId, error}` → boolean

use af_app::AppError;
use af_app::files::snapshots::fail_and_leave;
use af_domain::ids::SnapshotId;
use af_http::Id;
use serde::Deserialize;
use serde_json::Value;

use super::done;
use crate::compatible::call::Call;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    snapshot_id: Id<SnapshotId>,
    error: String,
}

/// Whether the snapshot has failed; `false` when it is ready or over.
///
/// # Errors
/// 404 when the snapshot is not the caller's.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let args: Args = call.args()?;
    done(fail_and_leave(&call.app, &call.worker, &args.snapshot_id.0, &args.error).await)
}
