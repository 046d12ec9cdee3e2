//! The worker contract, native face: what a worker asks for, authenticated with its token.

mod routes;
mod wire;

use std::sync::Arc;

use af_app::{App, AppError, Boot, BootError, worker_token};
use af_domain::ids::WorkerId;
use af_http::{Bearer, service};
use axum::Router;
use axum::routing::{get, post};

type Shared = Arc<App>;

/// The router of the function.
///
/// # Errors
/// `BootError` naming what is missing in the environment.
#[allow(clippy::unused_async, reason = "every function is built the same way")]
pub async fn build(boot: &Boot) -> Result<Router, BootError> {
    let app: Shared = Arc::new(App::from_boot(boot)?);
    Ok(service(
        Router::new()
            .route("/v1/worker/poll", post(routes::poll::poll))
            .route("/v1/worker/messages/{messageId}/heartbeat", post(routes::heartbeat::heartbeat))
            .route("/v1/worker/messages/{messageId}/complete", post(routes::complete::complete))
            .route("/v1/worker/messages/{messageId}/fail", post(routes::fail::fail))
            .route("/v1/worker/conversations/{conversationId}/history", post(routes::history::append))
            .route("/v1/worker/skills", get(routes::skills::skills))
            .with_state(app),
    ))
}

/// The worker that calls.
async fn caller(app: &App, bearer: &Bearer) -> Result<WorkerId, AppError> {
    worker_token::verify(app, bearer.expose()).await
}
