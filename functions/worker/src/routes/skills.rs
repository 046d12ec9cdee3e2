//! `GET /v1/worker/skills?releaseChannel=`: the global skills, for a worker to write to its disk.

use af_app::skills::{Fetched, manifest};
use af_app::worker::alive;
use af_domain::skill::ReleaseChannel;
use af_http::{ApiQuery, Id, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::Shared;
use crate::caller::Caller;

/// Which skills.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Query {
    /// `stable`, when left out, or `canary`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    release_channel: Option<Id<ReleaseChannel>>,
}

/// Answers the manifest, or 304 without a body when `If-None-Match` names it.
///
/// # Errors
/// 401 without a valid worker token or when the caller has stopped, 422 for a channel that there is not.
#[utoipa::path(
    get, path = "/v1/worker/skills", tag = "worker",
    security(("workerToken" = [])), params(Query),
    responses((status = 200, body = af_app::skills::Manifest), (status = 304)),
)]
pub async fn skills(
    State(app): State<Shared>,
    Caller(worker): Caller,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<Query>,
) -> Result<Response, Problem> {
    let channel = query.release_channel.map_or_else(ReleaseChannel::default, |channel| channel.0);
    let (living, fetched) = tokio::join!(
        alive(&app, &worker),
        manifest(&app, channel, |version| is_known(&headers, &etag(version)))
    );
    living?;
    Ok(match fetched? {
        Fetched::Unchanged { manifest_version } => {
            (StatusCode::NOT_MODIFIED, [(ETAG, etag(&manifest_version))]).into_response()
        }
        Fetched::Manifest(manifest) => {
            ([(ETAG, etag(&manifest.manifest_version))], Json(manifest)).into_response()
        }
    })
}

/// Weak: the same skills may have another `generatedAt`.
fn etag(manifest_version: &str) -> String {
    format!("W/\"{manifest_version}\"")
}

/// Weak comparison (RFC 9110, sections 8.8.3.2 and 13.1.2).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let listed = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    listed.flat_map(|list| list.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
}
