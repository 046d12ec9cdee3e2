use af_api::documents::DocumentBody;
use af_api::worker::documents::WorkspaceDocumentQuery;
use af_app::documents::of_run;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Caller;

/// Answers a document of the workspace of a running message, with its text.
///
/// # Errors
/// 404 unless the caller runs the message and its workspace has the document, 422 for a path that is no document.
#[utoipa::path(
    get, path = "/v1/worker/documents",
    operation_id = "workerDocument", tag = "worker",
    security(("workerToken" = [])), params(WorkspaceDocumentQuery),
    responses((status = 200, body = DocumentBody), (status = 404, description = "not_found")),
)]
pub async fn get(
    Caller { app, worker, .. }: Caller,
    ApiQuery(query): ApiQuery<WorkspaceDocumentQuery>,
) -> Result<Json<DocumentBody>, Problem> {
    Ok(Json(of_run(&app, &worker, &query.message_id.0, &query.path.0).await?.into()))
}
