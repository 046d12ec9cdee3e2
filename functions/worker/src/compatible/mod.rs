//! The worker contract, compatible face: what published OpenClaw worker images speak, so that they run unchanged.
//!
//! They call named functions, `{"path": "<namespace>:<function>", "args": {…}}`, and are answered 200 with
//! `{"status":"success","value":…}` or `{"status":"error","errorMessage":…}`; faults of ours are 5xx. They can set no
//! header, so the path carries their token; it is logged nowhere, because only routes are.
//!
//! What they do with an answer decides what they are given: an error or an unexpected `null` takes them out of their loop
//! for five seconds and is never tried again, so what is merely not to be had is `false` or `null` where the function
//! has such a value, and an error where it would be a lie.

mod call;
mod download;
mod functions;
mod upload;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::Served;

/// The largest file that is taken through a function. On AWS it is about 4.5 MB, because Lambda takes no event of more than
/// 6 MB and carries the body in Base64; what is larger is refused before our code runs. `dev` has no such limit of its own.
const UPLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The routes of the compatible face.
pub fn routes() -> Router<Served> {
    let uploads = Router::new()
        .route("/w/{token}/snapshots/{snapshotId}", post(upload::snapshot))
        .route("/w/{token}/media", post(upload::media))
        .layer(DefaultBodyLimit::max(UPLOAD_BYTES_MAX));
    Router::new()
        .route("/w/{token}/api/query", post(call::call))
        .route("/w/{token}/api/mutation", post(call::call))
        .route("/w/{token}/api/action", post(call::call))
        .route("/f/{fileToken}", get(download::download))
        .merge(uploads)
}
