use af_api::worker::skills::{Manifest, SkillsQuery};
use af_app::skills::{Fetched, manifest};
use af_app::worker::alive;
use af_domain::skill::ReleaseChannel;
use af_http::{ApiQuery, Json, Problem};
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};

use crate::caller::Caller;

/// Answers the manifest, or 304 without a body when `If-None-Match` names its entity tag.
///
/// # Errors
/// 401 without a valid worker token or when the caller has stopped, 422 for an unknown channel.
#[utoipa::path(
    get, path = "/v1/worker/skills",
    operation_id = "workerGlobalSkillsManifest", tag = "worker",
    security(("workerToken" = [])), params(SkillsQuery),
    responses((status = 200, body = Manifest), (status = 304)),
)]
pub async fn skills(
    Caller { app, worker, .. }: Caller,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<SkillsQuery>,
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
            let etag = etag(&manifest.manifest_version);
            ([(ETAG, etag)], Json(manifest)).into_response()
        }
    })
}

/// A weak entity tag: two answers with the same skills may differ in `generatedAt`.
fn etag(manifest_version: &str) -> String {
    format!("W/\"{manifest_version}\"")
}

/// Whether `If-None-Match` names the entity tag, by weak comparison (RFC 9110, sections 8.8.3.2 and 13.1.2).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let listed = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    listed.flat_map(|list| list.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
}
