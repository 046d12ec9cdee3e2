//! `GET /openapi.json`: what every route of the deployment takes and answers, for whoever writes a client. No key is
//! needed: it says nothing of the deployment.

use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

/// Generated from the functions' routes; a test holds it to them.
const DOCUMENT: &str = include_str!("../../../../../docs/openapi.json");

/// Shows this document.
#[utoipa::path(get, path = "/openapi.json", tag = "deployment", responses((status = 200, body = Object)))]
pub async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=300")], DOCUMENT)
}
