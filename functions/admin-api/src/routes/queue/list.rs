//! `GET /v1/queue/messages?status=&conversationId=&agentKey=&limit=&cursor=`: messages of one conversation, or of the
//! whole deployment in one state.

use af_api::id::Id;
use af_api::messages::MessageBody;
use af_api::pages::Page;
use af_api::queue::{QueueQuery, QueueStatus};
use af_app::queue::backlog;
use af_app::{App, AppError, queue};
use af_domain::message::MessageView;
use af_domain::refusal::Refusal;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

/// The name of the listing: all filters that decide its content.
fn listing(query: &QueueQuery) -> String {
    let status = query.status.map_or("any", QueueStatus::as_str);
    let conversation = query.conversation_id.as_ref().map_or("", |id| id.0.as_str());
    let agent = query.agent_key.as_ref().map_or("", |key| key.0.as_str());
    format!("queue {status} {agent} {conversation}")
}

/// Lists messages. With a filter, a page may hold fewer than `limit` messages, even none, and still have a next page.
/// The queue may change between two pages.
///
/// # Errors
/// 422 for a state that only a conversation's list can filter by, and for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/queue/messages",
    operation_id = "listQueueMessages", tag = "queue",
    security(("apiKey" = ["admin", "read"])), params(QueueQuery),
    responses((status = 200, body = Page<MessageBody>)),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<QueueQuery>,
) -> Result<Json<Page<MessageBody>>, Problem> {
    let listing = listing(&query);
    let after = paging::after(&app, &listing, query.cursor.as_deref()).await?;
    let (mut found, next) = find(&app, &query, after.as_deref()).await?;
    found.retain(|view| query.agent_key.as_ref().is_none_or(|key| key.0 == view.message.agent));
    let items = found.into_iter().map(Into::into).collect();
    Ok(Json(Page::new(items, paging::seal(&app, &listing, next).await?)))
}

async fn find(
    app: &App,
    query: &QueueQuery,
    after: Option<&str>,
) -> Result<(Vec<MessageView>, Option<String>), AppError> {
    let limit = query.limit.get();
    match (&query.conversation_id, query.status) {
        (Some(Id(conversation)), status) => {
            queue::of_conversation(app, conversation, status.map(QueueStatus::as_str), limit, after).await
        }
        (None, Some(QueueStatus::Queued)) => backlog::waiting(app, limit, after).await,
        (None, Some(QueueStatus::Processing)) => backlog::running(app, limit, after).await,
        (None, Some(QueueStatus::DeadLetter)) => queue::dead_letters(app, limit, after).await,
        (None, Some(QueueStatus::Done | QueueStatus::Cancelled) | None) => {
            let detail = "without conversationId, status must be one of queued, processing, dead_letter";
            Err(Refusal::field("/status", detail).into())
        }
    }
}
