//! The functions of the compatible contract, one per file.

mod append;
mod attach_metadata;
mod claim;
mod complete;
mod control_state;
mod fail;
mod fail_snapshot;
mod finalize_snapshot;
mod has_queued;
mod heartbeat;
mod hydration_bundle;
mod latest_snapshot;
mod media_upload_url;
mod prepare_snapshot;
mod skills_manifest;
mod storage_file_url;

use af_app::AppError;
use af_domain::refusal::{Code, Refusal};
use serde_json::Value;

use super::call::Call;
use super::outcome::value;

/// The function that images call first.
pub const CONTROL_STATE: &str = "workerControlState";

/// The functions whose arguments must have a `workerId`.
const NEED_WORKER_ID: [&str; 8] = [
    CONTROL_STATE,
    "workerClaim",
    "workerHeartbeat",
    "workerComplete",
    "workerFail",
    "workerPrepareSnapshotUpload",
    "workerFinalizeSnapshotUpload",
    "workerFailSnapshotUpload",
];

/// Runs the function of this name.
///
/// # Errors
/// The function's errors; 404 for an unknown name.
pub async fn run(name: &str, call: Call) -> Result<Value, AppError> {
    if NEED_WORKER_ID.contains(&name) {
        call.require_worker_id()?;
    }
    match name {
        CONTROL_STATE => value(&control_state::run(call).await?),
        "workerClaim" => value(&claim::run(call).await?),
        "workerHydrationBundle" => value(&hydration_bundle::run(call).await?),
        "workerHeartbeat" => value(&heartbeat::run(call).await?),
        "workerComplete" => value(&complete::run(call).await?),
        "workerFail" => value(&fail::run(call).await?),
        "workerConversationHasQueued" => value(&has_queued::run(call).await?),
        "workerAppendConversationMessages" => value(&append::run(call).await?),
        "workerAttachMessageMetadata" => value(&attach_metadata::run(call).await?),
        "workerPrepareSnapshotUpload" => value(&prepare_snapshot::run(call).await?),
        "workerFinalizeSnapshotUpload" => value(&finalize_snapshot::run(call).await?),
        "workerFailSnapshotUpload" => value(&fail_snapshot::run(call).await?),
        "workerLatestSnapshotForRestore" => value(&latest_snapshot::run(call).await?),
        "workerGenerateMediaUploadUrl" => value(&media_upload_url::run(call).await?),
        "workerGetStorageFileUrl" => value(&storage_file_url::run(call).await?),
        "workerGlobalSkillsManifest" => value(&skills_manifest::run(call).await?),
        _ => Err(Refusal::new(Code::NotFound, format!("there is no function {name}")).into()),
    }
}
