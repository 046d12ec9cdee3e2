//! `GET /f/{fileToken}`: a file, by a redirect to the bucket.

use af_app::access::file_token;
use af_http::{ApiPath, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY};
use axum::response::IntoResponse;

use crate::WorkerState;

/// Redirects to the file's object. Agents write such links into their replies, so a link opens one file only, and only
/// for a short time.
///
/// # Errors
/// 404 for a link that this deployment did not make, or that has expired.
pub async fn download(
    State(state): State<WorkerState>,
    ApiPath(token): ApiPath<String>,
) -> Result<impl IntoResponse, Problem> {
    let url = file_token::redeem(&state.app, &state.objects, &token).await?;
    // The link must reach neither a cache nor the bucket's log.
    let privacy = [(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")];
    Ok((StatusCode::FOUND, privacy, [(LOCATION, url)]))
}
