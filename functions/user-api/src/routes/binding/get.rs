//! `GET /v1/users/{consumerUserId}/binding`.

use af_app::bindings;
use af_domain::ids::ConsumerUserId;
use af_http::{ApiPath, Problem};
use axum::Json;
use axum::extract::State;

use super::BindingBody;
use crate::Shared;
use crate::caller::ConsumerApp;

/// Shows the user's active binding.
///
/// # Errors
/// 404 when there is none.
pub async fn get(
    State(app): State<Shared>,
    _: ConsumerApp,
    ApiPath(user): ApiPath<ConsumerUserId>,
) -> Result<Json<BindingBody>, Problem> {
    Ok(Json(bindings::get(&app, &user).await?.into()))
}
