//! The user API, for consumer apps. It needs the scope `app`. A user's id opens the data of that user only.

mod caller;
mod routes;
mod state;

use std::sync::Arc;

use af_app::{App, Boot, BootError};
use af_http::service;
use axum::Router;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;

use state::Served;

/// The router of the function.
///
/// # Errors
/// `BootError` that names what the environment lacks.
#[allow(clippy::unused_async, reason = "every function is built the same way")]
pub async fn build(boot: &Boot) -> Result<Router, BootError> {
    let served = Served { app: Arc::new(App::from_boot(boot)?), objects: boot.objects()? };
    let router: Router<Served> = routes().into();
    Ok(service(router.with_state(served)))
}

/// The part of the OpenAPI document that describes this function's routes.
pub fn openapi() -> Document {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Served> {
    OpenApiRouter::new()
        .merge(routes::binding::routes())
        .merge(routes::conversation::routes())
        .merge(routes::message::routes())
        .merge(routes::snapshots::routes())
}
