use af_api::health::HealthBody;
use af_domain::refusal::Code;
use af_http::{Json, Problem};
use axum::extract::State;

use crate::Shared;

/// The function runs.
///
/// The call reads nothing; `/readyz` also checks the table.
#[utoipa::path(
    get, path = "/healthz",
    operation_id = "getHealth", tag = "deployment",
    responses((status = 200, body = HealthBody)),
)]
pub async fn alive() -> Json<HealthBody> {
    Json(HealthBody::ok())
}

/// The function runs and reaches the table.
///
/// # Errors
/// 503 when the table does not answer.
#[utoipa::path(
    get, path = "/readyz",
    operation_id = "checkReadiness", tag = "deployment",
    responses((status = 200, body = HealthBody), (status = 503, description = "unavailable")),
)]
pub async fn ready(State(app): State<Shared>) -> Result<Json<HealthBody>, Problem> {
    match app.store.ping().await {
        Ok(()) => Ok(Json(HealthBody::ok())),
        Err(error) => {
            tracing::error!(%error, "the table does not answer");
            Err(Problem::new(Code::Unavailable, "the table does not answer"))
        }
    }
}
