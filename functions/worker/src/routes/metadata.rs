//! `POST /v1/worker/messages/{messageId}/metadata`: adds to what is known of the message.

use std::collections::BTreeMap;

use af_app::worker::attach;
use af_domain::ids::MessageId;
use af_http::{ApiJson, ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Caller;
use crate::wire::lease;

/// What is added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    lease_id: String,
    fence: u64,
    /// Merged into the message's metadata: entries of the same name are replaced.
    metadata: BTreeMap<String, String>,
}

/// What a worker is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answer {
    attached: bool,
}

/// Adds metadata to a message.
///
/// # Errors
/// 409 `stale_lease` when the lease is not in force any more; nothing was written then. 422 when it is too much.
#[utoipa::path(
    post, path = "/v1/worker/messages/{messageId}/metadata", tag = "worker",
    security(("workerToken" = [])), request_body = inline(Request),
    responses((status = 200, body = inline(Answer)), (status = 409, description = "stale_lease")),
)]
pub async fn metadata(
    State(app): State<Shared>,
    Caller(worker): Caller,
    ApiPath(message): ApiPath<MessageId>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<Answer>, Problem> {
    let lease = lease(&request.lease_id, request.fence)?;
    attach(&app, &worker, &message, Some(&lease), &request.metadata).await?;
    Ok(Json(Answer { attached: true }))
}
