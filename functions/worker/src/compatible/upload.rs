//! `POST /w/{token}/snapshots/{snapshotId}` and `POST /w/{token}/media`: a file as the body, `{"storageId"}` as the answer.

use af_app::files::media;
use af_app::files::snapshots;
use af_domain::ids::{ContentType, SnapshotId};
use af_domain::refusal::{Code, Refusal};
use af_http::{ApiPath, Problem};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use tracing::Span;

use super::call::Token;
use crate::Served;

/// Where the file lies.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    storage_id: String,
}

/// Takes the archive of a prepared snapshot.
///
/// # Errors
/// 401 without a valid token, 404 when the snapshot is not the caller's, 409 when it does not wait for an archive, 413
/// for one that is too large.
pub async fn snapshot(
    State(served): State<Served>,
    ApiPath((token, id)): ApiPath<(Token, SnapshotId)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Answer>, Problem> {
    let worker = token.worker(&served.app).await?;
    Span::current().record("worker_id", worker.as_str());
    let archive = body.map_err(|rejection| too_large(&rejection))?;
    snapshots::receive(&served.app, &served.objects, &worker, &id, archive.into()).await?;
    Ok(Json(Answer { storage_id: id.to_string() }))
}

/// Takes a file that the caller's agent has made or fetched.
///
/// # Errors
/// 401 without a valid token, 409 when the caller has no conversation, 413 for one that is too large.
pub async fn media(
    State(served): State<Served>,
    ApiPath(token): ApiPath<Token>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Answer>, Problem> {
    let worker = token.worker(&served.app).await?;
    Span::current().record("worker_id", worker.as_str());
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.and_then(|text| ContentType::parse(text).ok());
    let file = body.map_err(|rejection| too_large(&rejection))?;
    let id = media::receive(&served.app, &served.objects, &worker, content_type, file.into()).await?;
    Ok(Json(Answer { storage_id: id.to_string() }))
}

fn too_large(rejection: &BytesRejection) -> Refusal {
    Refusal::new(Code::PayloadTooLarge, rejection.body_text())
}
