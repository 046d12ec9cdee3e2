//! `GET /healthz` and `GET /readyz`: for whoever watches the deployment, without a key.

use af_domain::refusal::Code;
use af_http::Problem;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Shared;

/// All is well.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub struct Answer {
    /// `ok`.
    status: &'static str,
}

const OK: Answer = Answer { status: "ok" };

/// The function runs.
#[utoipa::path(get, path = "/healthz", tag = "deployment", responses((status = 200, body = Answer)))]
pub async fn alive() -> Json<Answer> {
    Json(OK)
}

/// The function runs and reaches the table.
///
/// # Errors
/// 503 when it does not.
#[utoipa::path(
    get, path = "/readyz", tag = "deployment",
    responses((status = 200, body = Answer), (status = 503, description = "unavailable")),
)]
pub async fn ready(State(app): State<Shared>) -> Result<Json<Answer>, Problem> {
    match app.store.ping().await {
        Ok(()) => Ok(Json(OK)),
        Err(error) => {
            tracing::error!(%error, "the table does not answer");
            Err(Problem::new(Code::Unavailable, "the table does not answer"))
        }
    }
}
