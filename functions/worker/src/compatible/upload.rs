//! `POST /w/{token}/snapshots/{snapshotId}` and `POST /w/{token}/media`: the body is the file, the answer
//! `{"storageId"}`.

use af_api::worker::compatible::Uploaded;
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
use tracing::Span;

use super::token::PathToken;
use crate::WorkerState;

/// Receives the archive of a prepared snapshot.
///
/// # Errors
/// 401 without a valid token, 404 when the snapshot is not the caller's, 409 when it does not wait for an archive, 413
/// for an archive that is too large.
pub async fn snapshot(
    State(state): State<WorkerState>,
    ApiPath((token, id)): ApiPath<(PathToken, SnapshotId)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Uploaded>, Problem> {
    let worker = token.worker(&state.app).await?;
    Span::current().record("worker_id", worker.as_str());
    let archive = body.map_err(|rejection| too_large(&rejection))?;
    snapshots::receive(&state.app, &state.objects, &worker, &id, archive.into()).await?;
    Ok(Json(Uploaded { storage_id: id.to_string() }))
}

/// Receives a file that the caller's agent has made or fetched.
///
/// # Errors
/// 401 without a valid token, 409 when the caller has no conversation, 413 for a file that is too large.
pub async fn media(
    State(state): State<WorkerState>,
    ApiPath(token): ApiPath<PathToken>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Uploaded>, Problem> {
    let worker = token.worker(&state.app).await?;
    Span::current().record("worker_id", worker.as_str());
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.and_then(|text| ContentType::parse(text).ok());
    let file = body.map_err(|rejection| too_large(&rejection))?;
    let id = media::receive(&state.app, &state.objects, &worker, content_type, file.into()).await?;
    Ok(Json(Uploaded { storage_id: id.to_string() }))
}

fn too_large(rejection: &BytesRejection) -> Refusal {
    Refusal::new(Code::PayloadTooLarge, rejection.body_text())
}
