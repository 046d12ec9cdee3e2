//! `GET /openapi.json`: the requests and answers of every route, for authors of clients. It needs no key, because it
//! contains nothing that is specific to the deployment.

use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

/// Generated from the routes of the functions; a test compares them.
const DOCUMENT: &str = include_str!("../../../../../docs/openapi.json");

/// Shows this document.
///
/// It is the same in every deployment of this version.
#[utoipa::path(
    get, path = "/openapi.json",
    operation_id = "getOpenApiDocument", tag = "deployment",
    responses((status = 200, body = Object)),
)]
pub async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=300")], DOCUMENT)
}
