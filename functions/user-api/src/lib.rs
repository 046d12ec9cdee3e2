//! The consumer app's API: scope `app`. A user's id opens what is that user's, and nothing else.

mod caller;
mod routes;

use std::sync::Arc;

use af_app::{App, Boot, BootError};
use af_aws::objects::Objects;
use af_http::service;
use axum::Router;
use axum::extract::FromRef;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;

type Shared = Arc<App>;

/// What the routes share.
#[derive(Clone)]
struct Served {
    app: Shared,
    objects: Objects,
}

impl FromRef<Served> for Shared {
    fn from_ref(served: &Served) -> Self {
        served.app.clone()
    }
}

impl FromRef<Served> for Objects {
    fn from_ref(served: &Served) -> Self {
        served.objects.clone()
    }
}

/// The router of the function.
///
/// # Errors
/// `BootError` naming what is missing in the environment.
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
