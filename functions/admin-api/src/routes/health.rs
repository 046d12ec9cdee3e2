//! `GET /healthz` and `GET /readyz`: for whoever watches the deployment, without a key.

use af_domain::refusal::Code;
use af_http::Problem;
use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::Shared;

/// All is well.
#[derive(Debug, Serialize)]
pub struct Answer {
    status: &'static str,
}

const OK: Answer = Answer { status: "ok" };

/// The function runs.
pub async fn alive() -> Json<Answer> {
    Json(OK)
}

/// The function runs and reaches the table.
///
/// # Errors
/// 503 when it does not.
pub async fn ready(State(app): State<Shared>) -> Result<Json<Answer>, Problem> {
    match app.store.ping().await {
        Ok(()) => Ok(Json(OK)),
        Err(error) => {
            tracing::error!(%error, "the table does not answer");
            Err(Problem::new(Code::Unavailable, "the table does not answer"))
        }
    }
}
