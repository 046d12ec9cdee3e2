use af_api::pages::Page;
use af_api::user_messages::{MessageState, UserMessageBody, UserQueueQuery};
use af_app::access::auth::cursor_secret;
use af_app::conversations::view::messages;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, ApiQuery, CursorKey, Json, Problem};

use crate::caller::ConsumerApp;

/// Lists the messages of a user for an agent, the newest first. A user without messages has none.
///
/// # Errors
/// 422 for a state, limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/queue",
    operation_id = "listQueueItemsForUserAgent", tag = "messages",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(UserQueueQuery),
    responses((status = 200, body = Page<UserMessageBody>)),
)]
pub async fn queue(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    ApiQuery(query): ApiQuery<UserQueueQuery>,
) -> Result<Json<Page<UserMessageBody>>, Problem> {
    let key = CursorKey::new(&cursor_secret(&app).await?);
    let status = query.status.map(MessageState::as_str);
    let listing = format!("items {} {agent} {user}", status.unwrap_or_default());
    let after = query.cursor.as_deref().map(|cursor| key.open_in(&listing, cursor)).transpose()?;
    let found = messages(&app, &user, &agent, status, query.limit.get(), after.as_deref()).await?;
    let next = found.next.map(|position| key.seal_in(&listing, &position));
    Ok(Json(Page::new(found.items.into_iter().map(Into::into).collect(), next)))
}
