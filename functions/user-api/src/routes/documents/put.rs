use af_api::documents::{DocumentBody, PutDocumentRequest};
use af_app::documents::{Scope, editor, put as use_case};
use af_domain::ids::{AgentKey, ConsumerUserId, DocumentPath};
use af_http::{ApiJson, ApiPath, Json, Problem};

use crate::caller::ConsumerApp;

/// Makes a text the newest version of a document of the user with the agent, or the text of an earlier version. A text that the document already
/// has makes no version, so the call may be repeated.
///
/// # Errors
/// 404 when there is no such agent or version; 409 when `ifVersion` is not the current version; 413 or 422 naming the field
/// that breaks a limit.
#[utoipa::path(
    put, path = "/v1/users/{consumerUserId}/agents/{agentKey}/documents/{*path}",
    operation_id = "putUserDocument", tag = "documents",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), request_body = PutDocumentRequest,
    responses(
        (status = 200, body = DocumentBody), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"), (status = 413, description = "payload_too_large"),
    ),
)]
pub async fn put(
    ConsumerApp { app, caller, .. }: ConsumerApp,
    ApiPath((user, agent, path)): ApiPath<(ConsumerUserId, AgentKey, DocumentPath)>,
    ApiJson(request): ApiJson<PutDocumentRequest>,
) -> Result<Json<DocumentBody>, Problem> {
    let scope = Scope { agent, user: Some(user) };
    Ok(Json(use_case(&app, &scope, &path, request, &editor(&caller)).await?.into()))
}
