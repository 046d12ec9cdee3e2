//! The compatible contract, which published OpenClaw worker images use unchanged.
//!
//! Images call named functions, `{"path": "<namespace>:<function>", "args": {…}}`. The answer has status 200 and is
//! `{"status":"success","value":…}` or `{"status":"error","errorMessage":…}`; failures of this service are 5xx. Images
//! can set no header, so the path carries their token. No log has it, because logs have routes and never paths.
//!
//! How images handle an answer decides what the functions return. After an error or an unexpected `null`, an image
//! pauses its loop for five seconds and does not repeat the call. So a function answers `false` or `null` where an image
//! expects such a value and the requested thing is merely not available. It answers an error where such a value would
//! be wrong.

mod call;
mod dispatch;
mod download;
mod functions;
mod outcome;
mod token;
mod upload;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::WorkerState;

/// The largest file that goes through this function. On AWS the limit is about 4.5 MB: Lambda accepts events of at most
/// 6 MB, which carry the body in Base64, and refuses larger ones before this code runs. `dev` has no limit of its own.
const MAX_UPLOAD_BYTES: usize = 64 * 1024 * 1024;

/// The routes of the compatible contract.
pub fn routes() -> Router<WorkerState> {
    let uploads = Router::new()
        .route("/w/{token}/snapshots/{snapshotId}", post(upload::snapshot))
        .route("/w/{token}/media", post(upload::media))
        .layer(DefaultBodyLimit::max(MAX_UPLOAD_BYTES));
    Router::new()
        .route("/w/{token}/api/query", post(dispatch::dispatch))
        .route("/w/{token}/api/mutation", post(dispatch::dispatch))
        .route("/w/{token}/api/action", post(dispatch::dispatch))
        .route("/f/{fileToken}", get(download::download))
        .merge(uploads)
}
