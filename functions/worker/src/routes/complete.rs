//! `POST /v1/worker/messages/{messageId}/complete`: the message is done.

use std::collections::BTreeMap;

use af_app::worker::complete as use_case;
use af_domain::ids::MessageId;
use af_http::{ApiJson, ApiPath, Problem};
use af_store::conversation::CompleteWith;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Caller;
use crate::wire::{EntryBody, ToolCallBody, entries, lease, tool_calls};

/// How the message ended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    lease_id: String,
    fence: u64,
    /// Entries for the conversation's history.
    #[serde(default)]
    history: Vec<EntryBody>,
    /// The conversation's pending tool calls from now on; left out, they stay.
    #[serde(default)]
    pending_tool_calls: Option<Vec<ToolCallBody>>,
    /// Merged into the message's metadata.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// The agent's answer, kept with the message.
    #[serde(default)]
    reply: Option<String>,
}

/// What a worker is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answer {
    completed: bool,
}

/// Completes a message.
///
/// # Errors
/// 409 `stale_lease` when the lease is not in force any more; nothing was written then.
#[utoipa::path(
    post, path = "/v1/worker/messages/{messageId}/complete", tag = "worker",
    security(("workerToken" = [])), request_body = inline(Request),
    responses((status = 200, body = inline(Answer)), (status = 409, description = "stale_lease")),
)]
pub async fn complete(
    State(app): State<Shared>,
    Caller(worker): Caller,
    ApiPath(message): ApiPath<MessageId>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Answer>, Problem> {
    let lease = lease(&request.lease_id, request.fence)?;
    let with = CompleteWith {
        history: entries("/history", request.history, app.now())?,
        pending_tool_calls: tool_calls(request.pending_tool_calls),
        metadata: request.metadata,
        reply: request.reply,
    };
    use_case(&app, &worker, &message, &lease, with).await?;
    Ok(Json(Answer { completed: true }))
}
