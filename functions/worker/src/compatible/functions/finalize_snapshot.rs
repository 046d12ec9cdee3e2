//! `workerFinalizeSnapshotUpload {workerId, snapshotId, storageId, sha256, sizeBytes}` → boolean

use af_app::AppError;
use af_app::files::snapshots::finalize_and_leave;
use af_domain::ids::{Sha256Hex, SnapshotId};
use af_domain::refusal::Refusal;
use af_domain::snapshot::Stored;
use af_http::Id;
use serde::Deserialize;
use serde_json::{Value, json};

use super::done;
use crate::compatible::call::Call;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    snapshot_id: Id<SnapshotId>,
    storage_id: String,
    sha256: String,
    size_bytes: u64,
}

/// Whether the snapshot is its conversation's latest now; `false` when the conversation has moved on, or something else
/// was uploaded.
///
/// # Errors
/// 404 when the snapshot is not the caller's.
pub async fn run(mut call: Call) -> Result<Value, AppError> {
    let args: Args = call.args()?;
    let sha256 = Sha256Hex::parse(args.sha256.to_ascii_lowercase()).map_err(Refusal::from)?;
    if args.storage_id != args.snapshot_id.0.as_str() {
        return Ok(json!(false));
    }
    let said = Stored { size_bytes: args.size_bytes, sha256 };
    let finalized =
        finalize_and_leave(&call.app, &call.objects, &call.worker, &args.snapshot_id.0, &said).await;
    done(finalized)
}
