use af_api::conversations::ConversationBody;
use af_app::conversations::get as use_case;
use af_app::settings::policies;
use af_domain::ids::ConversationId;
use af_http::{ApiPath, Json, Problem};

use crate::caller::Viewer;

/// Shows a conversation.
///
/// # Errors
/// 404 when there is no such conversation.
#[utoipa::path(
    get, path = "/v1/conversations/{conversationId}",
    operation_id = "getConversation", tag = "conversations",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(ConversationBody)), (status = 404, description = "not_found")),
)]
pub async fn get(
    Viewer(app): Viewer,
    ApiPath(id): ApiPath<ConversationId>,
) -> Result<Json<ConversationBody>, Problem> {
    let conversation = use_case(&app, &id).await?;
    let policies = policies::for_agent(&app, &conversation.agent).await?;
    Ok(Json(ConversationBody::new(&conversation, &policies, app.now())))
}
