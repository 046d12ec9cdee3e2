//! The user API, for consumer apps. It needs the scope `app`. A user's id opens the data of that user only.

mod caller;
mod routes;

use std::sync::Arc;

use af_app::{App, Boot, BootError};
use af_aws::objects::Objects;
use af_http::service;
use axum::Router;
use utoipa::openapi::OpenApi as Document;

/// The state that the routes share: the use cases and the bucket.
type State = (Arc<App>, Objects);

/// The router of the function.
///
/// # Errors
/// `BootError` that names what the environment lacks.
#[allow(clippy::unused_async, reason = "every function is built the same way")]
pub async fn build(boot: &Boot) -> Result<Router, BootError> {
    let state = (Arc::new(App::from_boot(boot)?), boot.objects()?);
    let router: Router<State> = routes::routes().into();
    Ok(service(router.with_state(state)))
}

/// The part of the OpenAPI document that describes this function's routes.
pub fn openapi() -> Document {
    routes::routes().into_openapi()
}
