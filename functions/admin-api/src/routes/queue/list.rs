//! `GET /v1/queue/messages?status=&conversationId=&agentKey=&limit=&cursor=`: messages of one conversation, or of the
//! whole deployment in one state.

use af_app::conversations::read_models::MessageView;
use af_app::queue::backlog;
use af_app::wire::MessageBody;
use af_app::{App, AppError, queue};
use af_domain::ids::{AgentKey, ConversationId};
use af_domain::refusal::Refusal;
use af_http::{ApiQuery, Id, Limit, Page, Problem};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Viewer;
use crate::paging;

/// Which messages.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Query {
    /// Those in this state; without a conversation only `queued`, `processing` or `dead_letter`.
    #[serde(default)]
    #[param(inline)]
    status: Option<Status>,
    /// Those of this conversation.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    conversation_id: Option<Id<ConversationId>>,
    /// Those for this agent.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    agent_key: Option<Id<AgentKey>>,
    /// Messages on the page, 1 to 200.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// `nextCursor` of the page before.
    #[serde(default)]
    cursor: Option<String>,
}

/// The state of a message.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Queued,
    Processing,
    Done,
    DeadLetter,
    Cancelled,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Status::Queued => "queued",
            Status::Processing => "processing",
            Status::Done => "done",
            Status::DeadLetter => "dead_letter",
            Status::Cancelled => "cancelled",
        }
    }
}

impl Query {
    /// Names everything that decides what is listed.
    fn listing(&self) -> String {
        let status = self.status.map_or("any", Status::as_str);
        let conversation = self.conversation_id.as_ref().map_or("", |id| id.0.as_str());
        let agent = self.agent_key.as_ref().map_or("", |key| key.0.as_str());
        format!("queue {status} {agent} {conversation}")
    }
}

/// Lists messages. With a filter a page may hold fewer than `limit`, even none, and still have a next one. A list of
/// everything that waits or runs is a walk over a queue that moves meanwhile.
///
/// # Errors
/// 422 for a state that only a conversation's list can filter by, and for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/queue/messages", tag = "queue",
    security(("apiKey" = ["admin", "read"])), params(Query),
    responses((status = 200, body = Page<MessageBody>)),
)]
pub async fn list(
    State(app): State<Shared>,
    _: Viewer,
    ApiQuery(query): ApiQuery<Query>,
) -> Result<Json<Page<MessageBody>>, Problem> {
    let listing = query.listing();
    let after = paging::after(&app, &listing, query.cursor.as_deref()).await?;
    let (mut found, next) = find(&app, &query, after.as_deref()).await?;
    found.retain(|view| query.agent_key.as_ref().is_none_or(|key| key.0 == view.message.agent));
    let items = found.into_iter().map(Into::into).collect();
    Ok(Json(paging::page(&app, &listing, items, next).await?))
}

async fn find(
    app: &App,
    query: &Query,
    after: Option<&str>,
) -> Result<(Vec<MessageView>, Option<String>), AppError> {
    let limit = paging::count(query.limit);
    match (&query.conversation_id, query.status) {
        (Some(Id(conversation)), status) => {
            queue::of_conversation(app, conversation, status.map(Status::as_str), limit, after).await
        }
        (None, Some(Status::Queued)) => backlog::waiting(app, limit, after).await,
        (None, Some(Status::Processing)) => backlog::running(app, limit, after).await,
        (None, Some(Status::DeadLetter)) => queue::dead_letters(app, limit, after).await,
        (None, Some(Status::Done | Status::Cancelled) | None) => {
            let detail = "without conversationId, status must be one of queued, processing, dead_letter";
            Err(Refusal::field("/status", detail).into())
        }
    }
}
