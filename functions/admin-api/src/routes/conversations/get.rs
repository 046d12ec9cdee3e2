//! `GET /v1/conversations/{conversationId}`: who has a conversation, what runs and what waits.

use af_api::conversations::ConversationBody;
use af_app::conversations::get as use_case;
use af_app::settings::policies;
use af_domain::ids::ConversationId;
use af_http::{ApiPath, Problem};
use axum::Json;
use axum::extract::State;

use crate::Shared;
use crate::caller::Viewer;

/// Shows a conversation.
///
/// # Errors
/// 404 when there is none.
#[utoipa::path(
    get, path = "/v1/conversations/{conversationId}", tag = "conversations",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(ConversationBody)), (status = 404, description = "not_found")),
)]
pub async fn get(
    State(app): State<Shared>,
    _: Viewer,
    ApiPath(id): ApiPath<ConversationId>,
) -> Result<Json<ConversationBody>, Problem> {
    let policies = policies::in_force(&app).await?;
    let conversation = use_case(&app, &id).await?;
    Ok(Json(ConversationBody::new(&conversation, &policies, app.now())))
}
