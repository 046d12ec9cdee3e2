use af_api::conversations::{UserConversation, UserConversationQuery};
use af_app::access::auth::cursor_secret;
use af_app::conversations::view::{HistoryPlace, ItemPlace, Part, conversation as use_case};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, ApiQuery, CursorKey, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows a conversation. It is empty when the user is bound to the agent and has not written yet.
///
/// # Errors
/// 404 when the user and the agent have no conversation, and the user is not bound to the agent.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/conversation",
    operation_id = "getConversationViewForUserAgent", tag = "conversations",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(UserConversationQuery),
    responses((status = 200, body = inline(UserConversation)), (status = 404, description = "not_found")),
)]
pub async fn get(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    ApiQuery(query): ApiQuery<UserConversationQuery>,
) -> Result<Json<UserConversation>, Problem> {
    // These cursors are valid for this conversation only.
    let key = CursorKey::new(&cursor_secret(&app).await?);
    let (history, queue) = (format!("history {agent} {user}"), format!("queue {agent} {user}"));
    let history_place = query.history_cursor.as_deref();
    let history_place =
        history_place.map(|c| key.open_at("/historyCursor", &history, c, HistoryPlace::read)).transpose()?;
    let item_place = query.queue_cursor.as_deref();
    let item_place =
        item_place.map(|c| key.open_at("/queueCursor", &queue, c, ItemPlace::read)).transpose()?;
    let part = Part { limit: query.limit.get(), history: history_place, items: item_place };
    let mut answer = use_case(&app, &user, &agent, &part).await?;
    answer.next_history_cursor = answer.next_history_cursor.map(|position| key.seal_in(&history, &position));
    answer.next_queue_cursor = answer.next_queue_cursor.map(|position| key.seal_in(&queue, &position));
    Ok(Json(answer))
}
