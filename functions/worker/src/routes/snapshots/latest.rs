//! `GET /v1/worker/snapshots/latest?conversationId=`: what a worker begins with.

use af_app::files::snapshots::{Restorable, latest as use_case};
use af_aws::objects::Objects;
use af_domain::ids::ConversationId;
use af_domain::refusal::Refusal;
use af_domain::snapshot::FORMAT_VERSION;
use af_http::{ApiQuery, Problem};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Caller;

/// Whose.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Query {
    conversation_id: String,
}

/// The latest good snapshot.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    snapshot_id: String,
    /// Answers a plain GET, for 15 minutes at most.
    download_url: String,
    sha256: Option<String>,
    size_bytes: Option<u64>,
    created_at: u64,
    /// 1: a gzipped tar of the data folder.
    format_version: u64,
}

/// Answers the latest good snapshot of the caller's conversation, or 204 when there is none.
///
/// # Errors
/// 404 when the conversation is not the caller's.
#[utoipa::path(
    get, path = "/v1/worker/snapshots/latest", tag = "worker",
    security(("workerToken" = [])), params(Query),
    responses(
        (status = 200, body = inline(Answer)), (status = 204), (status = 404, description = "not_found"),
    ),
)]
pub async fn latest(
    State(app): State<Shared>,
    State(objects): State<Objects>,
    Caller(worker): Caller,
    ApiQuery(query): ApiQuery<Query>,
) -> Result<Response, Problem> {
    let conversation = ConversationId::parse(query.conversation_id).map_err(Refusal::from)?;
    Ok(match use_case(&app, &objects, &worker, &conversation).await? {
        Some(latest) => Json(answer(latest)).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

fn answer(latest: Restorable) -> Answer {
    let content = latest.snapshot.content;
    Answer {
        snapshot_id: latest.snapshot.id.to_string(),
        download_url: latest.download_url,
        sha256: content.as_ref().map(|c| c.sha256.to_string()),
        size_bytes: content.map(|c| c.size_bytes),
        created_at: latest.snapshot.created_at.as_millis(),
        format_version: FORMAT_VERSION,
    }
}
