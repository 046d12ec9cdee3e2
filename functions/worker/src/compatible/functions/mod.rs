//! The functions of the compatible face, one a file.

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
use af_domain::ids::{LeaseId, MessageId};
use af_domain::refusal::{Code, Refusal};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;

/// What images ask before anything else.
pub const CONTROL_STATE: &str = "workerControlState";

/// Those that must say who calls.
const NAME_THEIR_WORKER: [&str; 8] = [
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
/// As the function; 404 when there is none.
pub async fn run(name: &str, call: Call) -> Result<Value, AppError> {
    if NAME_THEIR_WORKER.contains(&name) {
        call.names_its_worker()?;
    }
    match name {
        CONTROL_STATE => control_state::run(call).await,
        "workerClaim" => claim::run(call).await,
        "workerHydrationBundle" => hydration_bundle::run(call).await,
        "workerHeartbeat" => heartbeat::run(call).await,
        "workerComplete" => complete::run(call).await,
        "workerFail" => fail::run(call).await,
        "workerConversationHasQueued" => has_queued::run(call).await,
        "workerAppendConversationMessages" => append::run(call).await,
        "workerAttachMessageMetadata" => attach_metadata::run(call).await,
        "workerPrepareSnapshotUpload" => prepare_snapshot::run(call).await,
        "workerFinalizeSnapshotUpload" => finalize_snapshot::run(call).await,
        "workerFailSnapshotUpload" => fail_snapshot::run(call).await,
        "workerLatestSnapshotForRestore" => latest_snapshot::run(call).await,
        "workerGenerateMediaUploadUrl" => media_upload_url::run(call).await,
        "workerGetStorageFileUrl" => storage_file_url::run(call).await,
        "workerGlobalSkillsManifest" => skills_manifest::run(call).await,
        _ => Err(Refusal::new(Code::NotFound, format!("there is no function {name}")).into()),
    }
}

/// The message and the lease that a call is about.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    message_id: String,
    lease_id: String,
}

impl Held {
    /// Both, unless one is none of ours: then the caller does not hold it.
    fn ids(self) -> Option<(MessageId, LeaseId)> {
        Some((MessageId::parse(self.message_id).ok()?, LeaseId::parse(self.lease_id).ok()?))
    }
}

fn json(value: &impl serde::Serialize, what: &'static str) -> Result<Value, AppError> {
    serde_json::to_value(value).map_err(|source| AppError::Unreadable { what, source })
}

/// `true`, or `false` when the state of things does not allow it: a lease that has ended, a snapshot that is over.
fn done(result: Result<(), AppError>) -> Result<Value, AppError> {
    match result {
        Ok(()) => Ok(json!(true)),
        Err(AppError::Refused(refusal)) if is_state(refusal.code) => Ok(json!(false)),
        Err(error) => Err(error),
    }
}

const fn is_state(code: Code) -> bool {
    matches!(code, Code::StaleLease | Code::StaleSnapshot | Code::Conflict)
}
