//! `GET /v1/worker/control?conversationId=`: what a worker is told about itself.

use af_app::worker::{ControlAnswer, control as use_case, expired};
use af_domain::ids::ConversationId;
use af_http::{ApiQuery, Id, Problem};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Told;
use crate::wire::ControlBody;

/// Who asks.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Query {
    /// The conversation it believes it is assigned to; with it the answer costs less.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    conversation_id: Option<Id<ConversationId>>,
}

/// What a worker is answered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    control: ControlBody,
    /// How long to wait before asking again, ms.
    next_poll_ms: u64,
}

/// Answers the caller's control state; a sign of life. A caller whose token has expired is told to stop.
///
/// # Errors
/// 401 without a worker token.
#[utoipa::path(
    get, path = "/v1/worker/control", tag = "worker",
    security(("workerToken" = [])), params(Query),
    responses((status = 200, body = inline(Answer))),
)]
pub async fn control(
    State(app): State<Shared>,
    Told(worker): Told,
    ApiQuery(query): ApiQuery<Query>,
) -> Result<Json<Answer>, Problem> {
    let conversation = query.conversation_id.as_ref().map(|id| &id.0);
    let ControlAnswer { control, next_poll } = match worker {
        Some(worker) => use_case(&app, &worker, conversation).await?,
        None => expired(&app).await.map(|p| ControlAnswer { control: p.control, next_poll: p.next_poll })?,
    };
    Ok(Json(Answer { control: control.into(), next_poll_ms: next_poll.as_millis() }))
}
