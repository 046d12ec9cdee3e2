//! The operator API. It needs the scope `admin`. The scope `read` opens the routes that only read, and `app` opens
//! enqueueing and the webhooks of bots.

mod caller;
mod paging;
mod routes;

use std::sync::Arc;

use af_api::problem::ProblemBody;
use af_app::{App, Boot, BootError};
use af_http::service;
use axum::Router;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;

/// The state that the routes share: the use cases.
type Shared = Arc<App>;

/// The schema that every problem of the deployment has.
#[derive(OpenApi)]
#[openapi(components(schemas(ProblemBody)))]
struct Problems;

/// The router of the function.
///
/// # Errors
/// `BootError` that names what the environment lacks.
#[allow(clippy::unused_async, reason = "every function is built the same way")]
pub async fn build(boot: &Boot) -> Result<Router, BootError> {
    let app: Shared = Arc::new(App::from_boot(boot)?);
    let router: Router<Shared> = routes::routes().into();
    Ok(service(router.with_state(app)))
}

/// The part of the OpenAPI document that describes this function's routes.
pub fn openapi() -> Document {
    OpenApiRouter::<Shared>::with_openapi(Problems::openapi()).merge(routes::routes()).into_openapi()
}
