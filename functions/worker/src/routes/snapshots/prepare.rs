//! `POST /v1/worker/snapshots`: announces a snapshot and answers where to upload it.

use std::collections::BTreeMap;

use af_app::files::snapshots::{Announced, prepare as use_case};
use af_aws::objects::Objects;
use af_domain::ids::{ConversationId, Sha256Hex};
use af_domain::refusal::Refusal;
use af_domain::snapshot::{SnapshotReason, Stored};
use af_http::{ApiJson, Problem};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Caller;

/// What a worker announces.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Whose files they are.
    conversation_id: String,
    /// `drain`, `signal` (the worker leaves, and drains from now on) or `manual`.
    reason: String,
    /// Size of the archive.
    size_bytes: u64,
    /// SHA-256 of the archive, in lower-case hexadecimal digits.
    sha256: String,
}

/// Where the archive goes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    snapshot_id: String,
    /// Takes the announced bytes and no others.
    upload_url: String,
    /// Always `PUT`.
    method: &'static str,
    /// Headers that must be sent along.
    headers: BTreeMap<String, String>,
    /// Until when the upload may begin, epoch ms.
    expires_at: u64,
}

/// Prepares a snapshot.
///
/// # Errors
/// 404 when the conversation is not the caller's, 409 `conflict` when nothing was claimed, 503 while a message runs.
#[utoipa::path(
    post, path = "/v1/worker/snapshots", tag = "worker",
    security(("workerToken" = [])), request_body = inline(Request),
    responses(
        (status = 201, body = inline(Answer)), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"), (status = 429, description = "rate_limited"),
        (status = 503, description = "unavailable"),
    ),
)]
pub async fn prepare(
    State(app): State<Shared>,
    State(objects): State<Objects>,
    Caller(worker): Caller,
    ApiJson(request): ApiJson<Request>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let reason = SnapshotReason::parse(&request.reason)
        .ok_or_else(|| Refusal::field("/reason", "reason must be one of drain, signal, manual"))?;
    let sha256 = Sha256Hex::parse(request.sha256).map_err(Refusal::from)?;
    let announced = Announced {
        conversation: ConversationId::parse(request.conversation_id).map_err(Refusal::from)?,
        reason,
        content: Stored { size_bytes: request.size_bytes, sha256 },
    };
    let prepared = use_case(&app, &objects, &worker, announced).await?;
    let answer = Answer {
        snapshot_id: prepared.snapshot.id.to_string(),
        upload_url: prepared.upload.url,
        method: "PUT",
        headers: prepared.upload.headers.into_iter().collect(),
        expires_at: prepared.url_expires_at.as_millis(),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}
