use af_api::conversations::{UserConversation, UserConversationQuery};
use af_app::access::auth::cursor_secret;
use af_app::conversations::read_models::{Part, ReadPosition, conversation as use_case};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::refusal::Refusal;
use af_http::{ApiPath, ApiQuery, CursorKey, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows a conversation. It is empty when the user is bound to the agent and has not written yet.
///
/// # Errors
/// 404 when the user and the agent have no conversation, and the user is not bound to the agent.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/conversation",
    operation_id = "getConversationViewForUserAgent", tag = "conversations",
    security(("apiKey" = ["admin", "app"])), params(UserConversationQuery),
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
    let history_before = open(&key, HISTORY_CURSOR, &history, query.history_cursor.as_deref())?;
    let part = Part {
        limit: query.limit.get(),
        history_before: history_before.as_deref().map(position).transpose()?,
        items_before: open(&key, "/queueCursor", &queue, query.queue_cursor.as_deref())?,
    };
    let mut answer = use_case(&app, &user, &agent, &part).await?;
    answer.next_history_cursor = answer.next_history_cursor.map(|position| key.seal_in(&history, &position));
    answer.next_queue_cursor = answer.next_queue_cursor.map(|position| key.seal_in(&queue, &position));
    Ok(Json(answer))
}

/// The pointer of a refused history cursor.
const HISTORY_CURSOR: &str = "/historyCursor";

/// The position of a cursor. A refusal names the parameter at `pointer`.
fn open(
    key: &CursorKey,
    pointer: &str,
    listing: &str,
    cursor: Option<&str>,
) -> Result<Option<String>, Refusal> {
    let opened = cursor.map(|cursor| key.open_in(listing, cursor)).transpose();
    opened.map_err(|refusal| Refusal { pointer: Some(pointer.to_owned()), ..refusal })
}

/// A position in the history. An earlier version of this program may have sealed a position of another shape.
fn position(text: &str) -> Result<ReadPosition, Refusal> {
    let outdated = || Refusal::field(HISTORY_CURSOR, "historyCursor is out of date; begin again without one");
    ReadPosition::read(text).ok_or_else(outdated)
}
