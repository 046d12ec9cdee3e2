//! The stream of a conversation's events, for consumer apps. A function URL calls this function, because an HTTP API sends no
//! answer before it is complete.

mod caller;
mod events;
mod routes;

use std::sync::Arc;

use af_app::{App, Boot, BootError};
use af_http::service;
use axum::Router;
use utoipa::openapi::OpenApi as Document;

/// The state that the routes share: the use cases.
type State = Arc<App>;

/// The router of the function.
///
/// # Errors
/// `BootError` that names what the environment lacks.
#[allow(clippy::unused_async, reason = "every function is built the same way")]
pub async fn build(boot: &Boot) -> Result<Router, BootError> {
    let router: Router<State> = routes::routes().into();
    Ok(service(router.with_state(Arc::new(App::from_boot(boot)?))))
}

/// The part of the OpenAPI document that describes this function's routes.
pub fn openapi() -> Document {
    routes::routes().into_openapi()
}
