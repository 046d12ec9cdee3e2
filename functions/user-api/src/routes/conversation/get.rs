use af_api::conversations::{UserConversation, UserConversationQuery};
use af_app::access::auth::cursor_secret;
use af_app::conversations::read_models::{Part, ReadPosition, conversation as use_case};
use af_app::{App, AppError};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::refusal::Refusal;
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
        limit: query.limit.get(),
        history_before: cursors.open_history(query.history_cursor.as_deref())?,
        items_before: cursors.open("/queueCursor", QUEUE, query.queue_cursor.as_deref())?,
    };
    let mut answer = use_case(&app, &user, &agent, &part).await?;
    answer.next_history_cursor = answer.next_history_cursor.map(|place| cursors.seal(HISTORY, &place));
    answer.next_queue_cursor = answer.next_queue_cursor.map(|place| cursors.seal(QUEUE, &place));
    Ok(Json(answer))
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

    fn seal(&self, list: &str, place: &str) -> String {
        self.key.seal_in(&self.listing(list), place)
    }
}
