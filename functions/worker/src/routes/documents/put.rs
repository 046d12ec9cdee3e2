use af_api::worker::documents::{RunEditBody, RunEditOutcomeBody, RunEditsAnswer, RunEditsRequest};
use af_app::documents::store_run_edits;
use af_domain::document::RunEdit;
use af_http::{ApiJson, Json, Problem};

use crate::caller::Caller;
use crate::conversions::lease;

/// Stores the documents that the agent has edited in a run, as documents of the conversation. A document that was changed
/// during the run stays as it is, and the text of the agent is a version before it. The call may be repeated.
///
/// # Errors
/// 409 `stale_lease` when the lease is no longer in force; 413 or 422 naming the document that breaks a limit. Then nothing
/// was written.
#[utoipa::path(
    put, path = "/v1/worker/documents",
    operation_id = "workerPutDocuments", tag = "worker",
    security(("workerToken" = [])), request_body = inline(RunEditsRequest),
    responses((status = 200, body = inline(RunEditsAnswer)), (status = 409, description = "stale_lease")),
)]
pub async fn put(
    Caller { app, worker, .. }: Caller,
    ApiJson(request): ApiJson<RunEditsRequest>,
) -> Result<Json<RunEditsAnswer>, Problem> {
    let lease = lease(&request.lease_id, request.fence)?;
    let edit = |RunEditBody { path, content, base_sha256 }: RunEditBody| RunEdit {
        path: path.0,
        text: content,
        base: base_sha256.map(|sha256| sha256.0),
    };
    let edits: Vec<_> = request.documents.into_iter().map(edit).collect();
    let outcomes = store_run_edits(&app, &worker, &lease, &edits).await?;
    let documents = edits.iter().zip(outcomes).map(|(edit, outcome)| RunEditOutcomeBody {
        path: edit.path.to_string(),
        outcome: outcome.as_str().to_owned(),
    });
    Ok(Json(RunEditsAnswer { documents: documents.collect() }))
}
