//! `GET /v1/messages/{messageId}`.

use af_app::views::message;
use af_app::wire::MessageBody;
use af_domain::ids::MessageId;
use af_http::{ApiPath, Problem};
use axum::Json;
use axum::extract::State;

use crate::Shared;
use crate::caller::Viewer;

/// Shows a message with its state as it is now.
///
/// # Errors
/// 404 when there is none.
pub async fn get(
    State(app): State<Shared>,
    _: Viewer,
    ApiPath(id): ApiPath<MessageId>,
) -> Result<Json<MessageBody>, Problem> {
    Ok(Json(message(&app, &id).await?.into()))
}
