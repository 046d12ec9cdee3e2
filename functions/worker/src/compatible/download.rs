//! `GET /f/{fileToken}`: a file, by a redirection to the bucket.

use af_app::access::file_token;
use af_http::{ApiPath, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY};
use axum::response::IntoResponse;

use crate::Served;

/// Sends the caller on to where the file lies. The link ends up in what agents write, so it opens this file only, and
/// not for long.
///
/// # Errors
/// 404 for a link that is none of ours, or whose time is over.
pub async fn download(
    State(served): State<Served>,
    ApiPath(token): ApiPath<String>,
) -> Result<impl IntoResponse, Problem> {
    let url = file_token::redeem(&served.app, &served.objects, &token).await?;
    // Neither a cache nor the bucket's log shall have the link.
    let silence = [(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")];
    Ok((StatusCode::FOUND, silence, [(LOCATION, url)]))
}
