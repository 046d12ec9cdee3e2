use af_api::conversations::{UserConversation, UserConversationQuery};
use af_api::pages::Limit;
use af_app::access::auth::cursor_secret;
use af_app::conversations::read_models::{ConversationView, Part, ReadPosition, conversation as use_case};
use af_app::{App, AppError};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::refusal::Refusal;
use af_domain::time::Timestamp;
use af_http::{ApiPath, ApiQuery, CursorKey, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows a conversation.
///
/// # Errors
/// 404 when the user and the agent have no conversation yet.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/conversation", tag = "conversations",
    security(("apiKey" = ["admin", "app"])), params(UserConversationQuery),
    responses((status = 200, body = inline(UserConversation)), (status = 404, description = "not_found")),
)]
pub async fn get(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    ApiQuery(query): ApiQuery<UserConversationQuery>,
) -> Result<Json<UserConversation>, Problem> {
    let cursors = Cursors::of(&app, &user, &agent).await?;
    let part = Part {
        limit: u32::try_from(query.limit.get()).unwrap_or(u32::from(Limit::MAX)),
        history_before: cursors.open_history(query.history_cursor.as_deref())?,
        items_before: cursors.open("/queueCursor", QUEUE, query.queue_cursor.as_deref())?,
    };
    let view = use_case(&app, &user, &agent, &part).await?;
    Ok(Json(answer(view, &cursors)))
}

/// The two lists of one conversation.
const HISTORY: &str = "history";
const QUEUE: &str = "queue";

/// Cursors that are valid for this conversation only.
struct Cursors {
    key: CursorKey,
    conversation: String,
}

impl Cursors {
    async fn of(app: &App, user: &ConsumerUserId, agent: &AgentKey) -> Result<Self, AppError> {
        let key = CursorKey::new(&cursor_secret(app).await?);
        Ok(Self { key, conversation: format!("{agent} {user}") })
    }

    fn listing(&self, list: &str) -> String {
        format!("{list} {}", self.conversation)
    }

    fn open(&self, pointer: &str, list: &str, cursor: Option<&str>) -> Result<Option<String>, Refusal> {
        let opened = cursor.map(|cursor| self.key.open_in(&self.listing(list), cursor)).transpose();
        opened.map_err(|refusal| Refusal { pointer: Some(pointer.to_owned()), ..refusal })
    }

    fn open_history(&self, cursor: Option<&str>) -> Result<Option<ReadPosition>, Refusal> {
        const POINTER: &str = "/historyCursor";
        let Some(place) = self.open(POINTER, HISTORY, cursor)? else { return Ok(None) };
        // An earlier version of this program may have sealed a cursor of another shape.
        let before = ReadPosition::read(&place).ok_or_else(|| {
            Refusal::field(POINTER, "historyCursor is out of date; begin again without one")
        })?;
        Ok(Some(before))
    }

    fn seal(&self, list: &str, place: Option<&str>) -> Option<String> {
        place.map(|place| self.key.seal_in(&self.listing(list), place))
    }
}

fn answer(view: ConversationView, cursors: &Cursors) -> UserConversation {
    UserConversation {
        conversation_id: view.conversation.to_string(),
        context_history: view.history.into_iter().map(Into::into).collect(),
        next_history_cursor: cursors.seal(HISTORY, view.older_history.map(|b| b.to_string()).as_deref()),
        pending_tool_calls: view.pending_tool_calls.into_iter().map(Into::into).collect(),
        queue_items: view.queue_items.into_iter().map(Into::into).collect(),
        next_queue_cursor: cursors.seal(QUEUE, view.older_items.as_deref()),
        has_queued_jobs: view.has_queued_jobs,
        latest_message_id: view.latest_message.map(|id| id.to_string()),
        last_user_message_at: view.last_user_message_at.map(Timestamp::as_millis),
        last_assistant_message_at: view.last_assistant_message_at.map(Timestamp::as_millis),
    }
}
