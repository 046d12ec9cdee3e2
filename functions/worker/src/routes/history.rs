//! `POST /v1/worker/conversations/{conversationId}/history`: appends while the message runs.

use af_app::worker::append as use_case;
use af_domain::ids::ConversationId;
use af_http::{ApiJson, ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Caller;
use crate::wire::{EntryBody, ToolCallBody, entries, lease, tool_calls};

/// Entries to append.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    lease_id: String,
    fence: u64,
    /// Entries appended under this lease before; makes a repeated call recognisable.
    ordinal: u64,
    messages: Vec<EntryBody>,
    /// The conversation's pending tool calls from now on; left out, they stay.
    #[serde(default)]
    pending_tool_calls: Option<Vec<ToolCallBody>>,
}

/// What a worker is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answer {
    appended: usize,
}

/// Appends to the history.
///
/// # Errors
/// 409 `stale_lease` when the lease is not in force any more, 409 `out_of_order` when `ordinal` does not follow.
#[utoipa::path(
    post, path = "/v1/worker/conversations/{conversationId}/history", tag = "worker",
    security(("workerToken" = [])), request_body = inline(Request),
    responses(
        (status = 200, body = inline(Answer)), (status = 409, description = "stale_lease, out_of_order"),
    ),
)]
pub async fn append(
    State(app): State<Shared>,
    Caller(worker): Caller,
    ApiPath(conversation): ApiPath<ConversationId>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Answer>, Problem> {
    let lease = lease(&request.lease_id, request.fence)?;
    let messages = entries("/messages", request.messages, app.now())?;
    let calls = tool_calls(request.pending_tool_calls);
    use_case(&app, &worker, &conversation, &lease, request.ordinal, &messages, calls.as_deref()).await?;
    Ok(Json(Answer { appended: messages.len() }))
}
