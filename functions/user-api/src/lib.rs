//! The consumer app's API: scope `app`. A user's id opens what is that user's, and nothing else.

mod caller;
mod openapi;
mod routes;

use std::sync::Arc;

use af_app::{App, Boot, BootError};
use af_aws::objects::Objects;
use af_http::service;
use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};

pub use openapi::openapi;
use routes::{binding, conversation, message, send, snapshots};

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
    let bindings = get(binding::get::get).put(binding::put::put).delete(binding::delete::delete);
    let message = get(message::get::get).delete(message::cancel::cancel);
    let router = Router::new()
        .route("/v1/users/{consumerUserId}/agents/{agentKey}/messages", post(send::send))
        .route("/v1/users/{consumerUserId}/agents/{agentKey}/conversation", get(conversation::get))
        .route("/v1/users/{consumerUserId}/agents/{agentKey}/snapshots", get(snapshots::list::list))
        .route(
            "/v1/users/{consumerUserId}/agents/{agentKey}/snapshots/latest",
            get(snapshots::latest::latest),
        )
        .route("/v1/users/{consumerUserId}/messages/{messageId}", message)
        .route("/v1/users/{consumerUserId}/binding", bindings);
    Ok(service(router.with_state(served)))
}
