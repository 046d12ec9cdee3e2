//! The worker contract: what workers call, each with its worker token. `routes` has the native contract, `compatible`
//! the contract of published OpenClaw worker images.

mod caller;
mod compatible;
mod conversions;
mod download_links;
mod routes;

use std::sync::Arc;

use af_app::{App, Boot, BootError};
use af_aws::objects::Objects;
use af_http::service;
use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use routes::{documents, media, snapshots};

/// The use cases.
type SharedApp = Arc<App>;

/// What all routes share.
#[derive(Clone)]
struct WorkerState {
    app: SharedApp,
    /// The bucket.
    objects: Objects,
}

/// The native contract. Each handler declares its path, method, security and schemas; the router and the OpenAPI
/// document both derive from that.
fn native() -> OpenApiRouter<WorkerState> {
    OpenApiRouter::new()
        .routes(routes!(routes::poll::poll))
        .routes(routes!(routes::claim::claim))
        .routes(routes!(routes::control::control))
        .routes(routes!(routes::bundle::bundle))
        .routes(routes!(routes::heartbeat::heartbeat))
        .routes(routes!(routes::complete::complete))
        .routes(routes!(routes::fail::fail))
        .routes(routes!(routes::metadata::metadata))
        .routes(routes!(routes::history::append))
        .routes(routes!(documents::get::get, documents::put::put))
        .routes(routes!(snapshots::prepare::prepare))
        .routes(routes!(snapshots::latest::latest))
        .routes(routes!(snapshots::finalize::finalize))
        .routes(routes!(snapshots::fail::fail))
        .routes(routes!(snapshots::skip::skip))
        .routes(routes!(media::announce::announce))
        .routes(routes!(media::get::get))
        .routes(routes!(routes::skills::skills))
}

/// The router of the function.
///
/// # Errors
/// `BootError` that names what is missing in the environment.
#[allow(clippy::unused_async, reason = "every function is built the same way")]
pub async fn build(boot: &Boot) -> Result<Router, BootError> {
    let state = WorkerState { app: Arc::new(App::from_boot(boot)?), objects: boot.objects()? };
    Ok(service(Router::from(native()).merge(compatible::routes()).with_state(state)))
}

/// The part of the OpenAPI document that the native contract makes. The compatible contract is not part of it, because
/// images use a protocol of their own.
pub fn openapi() -> OpenApi {
    native().into_openapi()
}
