//! The worker contract: what a worker asks for, authenticated with its token. The native face is in `routes`, the one
//! for published images in `compatible`.

mod caller;
mod compatible;
mod files;
mod job;
mod openapi;
mod routes;
mod wire;

use std::sync::Arc;

use af_app::{App, Boot, BootError};
use af_aws::objects::Objects;
use af_http::service;
use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};

pub use openapi::openapi;
use routes::{media, snapshots};

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
    Ok(service(
        Router::new()
            .route("/v1/worker/poll", post(routes::poll::poll))
            .route("/v1/worker/claim", post(routes::claim::claim))
            .route("/v1/worker/control", get(routes::control::control))
            .route("/v1/worker/messages/{messageId}/bundle", get(routes::bundle::bundle))
            .route("/v1/worker/messages/{messageId}/heartbeat", post(routes::heartbeat::heartbeat))
            .route("/v1/worker/messages/{messageId}/complete", post(routes::complete::complete))
            .route("/v1/worker/messages/{messageId}/fail", post(routes::fail::fail))
            .route("/v1/worker/messages/{messageId}/metadata", post(routes::metadata::metadata))
            .route("/v1/worker/conversations/{conversationId}/history", post(routes::history::append))
            .route("/v1/worker/snapshots", post(snapshots::prepare::prepare))
            .route("/v1/worker/snapshots/latest", get(snapshots::latest::latest))
            .route("/v1/worker/snapshots/{snapshotId}/finalize", post(snapshots::finalize::finalize))
            .route("/v1/worker/snapshots/{snapshotId}/fail", post(snapshots::fail::fail))
            .route("/v1/worker/media", post(media::announce::announce))
            .route("/v1/worker/media/{storageId}", get(media::get::get))
            .route("/v1/worker/skills", get(routes::skills::skills))
            .merge(compatible::routes())
            .with_state(served),
    ))
}
