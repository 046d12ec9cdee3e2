use af_api::events::{EventList, EventsQuery};
use af_app::access::auth::cursor_secret;
use af_app::conversations::events::{begin, follow, listing};
use af_domain::follow::Seen;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::time::Millis;
use af_http::{ApiPath, ApiQuery, CursorKey, Json, Problem};

use crate::caller::ConsumerApp;

/// Lists what has changed in a conversation: the status of messages, progress, replies and their delivery. The call waits up
/// to `waitMs` for the first event. Call it again with `nextCursor`.
///
/// The end of a message and its reply are never left out. A state that ends before it is noticed may be left out, and an
/// event may be repeated.
///
/// # Errors
/// 404 when the user and the agent have no conversation, and the user is not bound to the agent.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/events",
    operation_id = "listEventsForUserAgent", tag = "conversations",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(EventsQuery),
    responses((status = 200, body = EventList), (status = 404, description = "not_found")),
)]
pub async fn events(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    ApiQuery(query): ApiQuery<EventsQuery>,
) -> Result<Json<EventList>, Problem> {
    let key = CursorKey::new(&cursor_secret(&app).await?);
    let listing = listing(&user, &agent)?;
    let followed = match query.after.as_deref() {
        None => begin(&app, &user, &agent).await?,
        Some(after) => {
            let seen = key.open_at("/after", &listing, after, Seen::parse)?;
            follow(&app, &user, &agent, seen, Millis::new(query.wait_ms.get())).await?
        }
    };
    let cursor = key.seal_in(&listing, &followed.seen.to_string());
    Ok(Json(EventList::new(followed.changes, cursor)))
}
