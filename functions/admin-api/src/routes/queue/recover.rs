//! `POST /v1/queue/recover`: looks for malformed conversations, and mends them when asked to.

use af_app::conversations::consistency::{Malformed, audit};
use af_http::{ApiJson, Problem};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Operator;
use crate::paging;

/// Names this walk in its cursors.
const LISTING: &str = "queue recover";

/// Where to go on, and whether to repair.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// `nextCursor` of the call before; without it, the walk begins.
    #[serde(default)]
    cursor: Option<String>,
    /// Whether what is wrong is mended; else it is only told.
    #[serde(default)]
    repair: bool,
}

/// What this call has found. Calls go on with `nextCursor` until there is none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Conversations that hold work, a lease or an owner, and were checked.
    checked: usize,
    /// What was wrong with them.
    found: Vec<Found>,
    /// Where the next call goes on; left out at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Something that was wrong with a conversation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The conversation's id, or its partition where the id cannot be read.
    conversation_id: String,
    /// What was wrong.
    problem: String,
    /// Whether it is mended.
    repaired: bool,
}

impl From<Malformed> for Found {
    fn from(malformed: Malformed) -> Self {
        Self {
            conversation_id: malformed.conversation,
            problem: malformed.problem,
            repaired: malformed.repaired,
        }
    }
}

/// Walks on over the conversations. The walk reads the whole table, some 2 000 items a call.
///
/// # Errors
/// 422 for a cursor that is not of this walk.
#[utoipa::path(
    post, path = "/v1/queue/recover", tag = "queue",
    security(("apiKey" = ["admin"])), request_body = inline(Request),
    responses((status = 200, body = inline(Answer))),
)]
pub async fn recover(
    State(app): State<Shared>,
    _: Operator,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Answer>, Problem> {
    let from = paging::after(&app, LISTING, request.cursor.as_deref()).await?;
    let audited = audit(&app, from.as_deref(), request.repair).await?;
    let found = audited.found.into_iter().map(Found::from).collect();
    let page = paging::page(&app, LISTING, found, audited.next).await?;
    Ok(Json(Answer { checked: audited.checked, found: page.items, next_cursor: page.next_cursor }))
}
