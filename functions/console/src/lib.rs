//! The console: the pages on which an operator sees what the deployment does, and mends it. It calls the same use cases as the
//! API. A key with the scope `admin` opens everything; `read` opens the pages and no change.
//!
//! The pages are rendered here and work without JavaScript for reading. With it, the part of a page with the id `live` is read
//! again every two seconds; it has a version, so that an unchanged part costs one request to the table and no rendering.

mod assets;
mod dev;
mod error;
mod headers;
mod pages;
mod request;
mod ui;

use std::sync::Arc;

use af_app::{App, Boot, BootError};
use af_http::service;
use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post};

pub use dev::{ChatLine, DevTools, Speaker};

/// The state that the pages share.
#[derive(Clone)]
pub(crate) struct Console {
    /// The use cases.
    app: Arc<App>,
    /// What only `dev` has.
    tools: Option<Arc<dyn DevTools>>,
}

/// The router of the function.
///
/// # Errors
/// `BootError` that names what the environment lacks.
#[allow(clippy::unused_async, reason = "every function is built the same way")]
pub async fn build(boot: &Boot) -> Result<Router, BootError> {
    build_with(boot, None)
}

/// The router of the function with the tools of `dev`. Their pages are in [`dev_pages`].
///
/// # Errors
/// As `build`.
pub fn build_with(boot: &Boot, tools: Option<Arc<dyn DevTools>>) -> Result<Router, BootError> {
    let console = Console { app: Arc::new(App::from_boot(boot)?), tools };
    Ok(service(routes().layer(from_fn(headers::secure)).with_state(console)))
}

/// The pages that only `dev` has: the phone, the clock, and the link that signs in once.
///
/// # Errors
/// As `build`.
pub fn dev_pages(boot: &Boot, tools: Arc<dyn DevTools>) -> Result<Router, BootError> {
    let console = Console { app: Arc::new(App::from_boot(boot)?), tools: Some(tools) };
    Ok(service(pages::phone::routes().layer(from_fn(headers::secure)).with_state(console)))
}

fn routes() -> Router<Console> {
    Router::new()
        .route("/console", get(pages::home::show))
        .route("/console/attention", get(pages::home::attention))
        .route("/console/assets/{name}", get(assets::get))
        .route("/console/sign-in", get(pages::sign_in::show).post(pages::sign_in::sign_in))
        .route("/console/sign-out", post(pages::sign_in::sign_out))
        .route("/console/search", get(pages::search::search))
        .route("/console/queue", get(pages::queue::show))
        .route("/console/queue/retry", post(pages::queue::retry_all))
        .route("/console/messages/{messageId}", get(pages::message::show))
        .route("/console/messages/{messageId}/retry", post(pages::message::retry))
        .route("/console/messages/{messageId}/cancel", post(pages::message::cancel))
        .route("/console/messages/{messageId}/resend", post(pages::message::resend))
        .route("/console/conversations/{conversationId}", get(pages::conversation::show))
        .route("/console/conversations/{conversationId}/free", post(pages::conversation::free))
        .route("/console/workers", get(pages::workers::show))
        .route("/console/workers/{workerId}/drain", post(pages::workers::drain))
        .route("/console/agents", get(pages::agents::list))
        .route("/console/agents/{agentKey}", get(pages::agents::show).post(pages::agents::change))
        .route("/console/push", get(pages::push::show))
        .route("/console/settings", get(pages::settings::show))
        .route("/console/settings/policies", post(pages::settings::set_policy))
}
