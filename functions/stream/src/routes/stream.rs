use std::convert::Infallible;

use af_api::events::StreamQuery;
use af_app::access::auth::cursor_secret;
use af_app::conversations::events::{begin, listing};
use af_domain::follow::Seen;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::refusal::Refusal;
use af_http::{ApiPath, ApiQuery, CursorKey, Problem};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use http::HeaderMap;

use crate::caller::ConsumerApp;
use crate::events::{Follower, KEEP_ALIVE};

/// Sends what changes in a conversation as server-sent events: the events of `listEventsForUserAgent`, with their type as the
/// name of the event. The id of an event is a cursor.
///
/// The stream ends after five minutes, or with the user token that opened it. The client then connects again with the last id, as an `EventSource` does by itself.
///
/// # Errors
/// 404 when the user and the agent have no conversation, and the user is not bound to the agent.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/stream",
    operation_id = "streamEventsForUserAgent", tag = "conversations",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(StreamQuery),
    responses(
        (status = 200, content_type = "text/event-stream", body = String), (status = 404, description = "not_found"),
    ),
)]
pub async fn stream(
    ConsumerApp { app, caller }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<StreamQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let key = CursorKey::new(&cursor_secret(&app).await?);
    let listing = listing(&user, &agent)?;
    let after = last_id(&headers)?.or(query.after);
    let seen = after.map(|after| key.open_at("/after", &listing, &after, Seen::parse)).transpose()?;
    let (changes, seen) = match seen {
        Some(seen) => (Vec::new(), seen),
        None => {
            let begun = begin(&app, &user, &agent).await?;
            (begun.changes, begun.seen)
        }
    };
    let mut follower = Follower::new(app, user, agent, key, listing, seen);
    if let Some(user) = caller.user {
        follower.end_by(user.expires_at);
    }
    Ok(Sse::new(follower.events(changes)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The id with which an `EventSource` connects again.
fn last_id(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let text =
        value.to_str().map_err(|_| Refusal::field("/after", "Last-Event-ID must be an id of this stream"));
    Ok(Some(text?.to_owned()).filter(|text| !text.is_empty()))
}
