//! `POST /v1/worker/media`: announces a file and answers where to upload it.

use std::collections::BTreeMap;

use af_app::files::media::{announce as use_case, upload_url};
use af_aws::objects::Objects;
use af_domain::ids::{ContentType, Sha256Hex};
use af_domain::refusal::Refusal;
use af_domain::snapshot::Stored;
use af_http::{ApiJson, Problem};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Caller;

/// What a worker announces.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Size of the file, at most 256 MB.
    size_bytes: u64,
    /// SHA-256 of the file, in lower-case hexadecimal digits.
    sha256: String,
    /// What it is, such as `image/png`; its downloads say so.
    #[serde(default)]
    content_type: Option<String>,
}

/// Where the file goes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    storage_id: String,
    /// Takes the announced bytes and no others.
    upload_url: String,
    /// Always `PUT`.
    method: &'static str,
    /// Headers that must be sent along.
    headers: BTreeMap<String, String>,
    /// Until when the upload may begin, epoch ms.
    expires_at: u64,
}

/// Announces a file of the conversation that the caller is assigned to.
///
/// # Errors
/// 409 `conflict` when the caller has no conversation, 422 naming the field at fault.
#[utoipa::path(
    post, path = "/v1/worker/media", tag = "worker",
    security(("workerToken" = [])), request_body = inline(Request),
    responses(
        (status = 201, body = inline(Answer)),
        (status = 409, description = "conflict"), (status = 429, description = "rate_limited"),
    ),
)]
pub async fn announce(
    State(app): State<Shared>,
    State(objects): State<Objects>,
    Caller(worker): Caller,
    ApiJson(request): ApiJson<Request>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let sha256 = Sha256Hex::parse(request.sha256).map_err(Refusal::from)?;
    let content_type = request.content_type.map(ContentType::parse).transpose().map_err(Refusal::from)?;
    let content = Stored { size_bytes: request.size_bytes, sha256 };
    let media = use_case(&app, &worker, content, content_type).await?;
    let (upload, expires_at) = upload_url(&app, &objects, &media).await?;
    let answer = Answer {
        storage_id: media.id.to_string(),
        upload_url: upload.url,
        method: "PUT",
        headers: upload.headers.into_iter().collect(),
        expires_at: expires_at.as_millis(),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}
