//! The operator's API: scope `admin`; what only reads is open to `read` as well, and
//! enqueueing to `app`.

mod caller;
mod openapi;
mod paging;
mod routes;
mod secret_text;

use std::sync::Arc;

use af_app::{App, Boot, BootError};
use af_http::service;
use axum::Router;
use axum::routing::{delete, get, post, put};

pub use openapi::openapi;

use routes::{
    agents, conversations, health, keys, message_config, messages, policies, provider, provider_config,
    queue, secrets, skills, telegram_webhooks, workers,
};

type Shared = Arc<App>;

/// The router of the function.
///
/// # Errors
/// `BootError` naming what is missing in the environment.
#[allow(clippy::unused_async, reason = "every function is built the same way")]
pub async fn build(boot: &Boot) -> Result<Router, BootError> {
    let app: Shared = Arc::new(App::from_boot(boot)?);
    let agent = get(agents::get::get).put(agents::put::put).delete(agents::delete::delete);
    let router = Router::new()
        .route("/v1/agents", get(agents::list::list))
        .route("/v1/agents/{agentKey}", agent)
        .route("/v1/agents/{agentKey}/telegram-token", put(agents::telegram_token::put))
        .route("/v1/telegram/webhooks", post(telegram_webhooks::configure))
        .route("/v1/secrets", get(secrets::status::status))
        .route("/v1/secrets/{secretRef}", put(secrets::put::put).delete(secrets::delete::delete))
        .route("/v1/config/message", get(message_config::get::get).put(message_config::put::put))
        .route("/v1/config/policies", get(policies::get::get).put(policies::put::put))
        .route("/v1/config/provider", get(provider_config::get::get).put(provider_config::put::put))
        .route("/v1/provider", get(provider::readiness::readiness))
        .route("/v1/provider/cleanup", post(provider::cleanup::cleanup))
        .route("/v1/provider/volumes/{volumeId}", delete(provider::volume::delete))
        .route("/v1/messages", post(messages::enqueue::enqueue))
        .route("/v1/messages/{messageId}", get(messages::get::get))
        .route("/v1/queue/stats", get(queue::stats::stats))
        .route("/v1/queue/messages", get(queue::list::list))
        .route("/v1/queue/recover", post(queue::recover::recover))
        .route("/v1/queue/retry", post(queue::retry_all::retry_all))
        .route("/v1/queue/{messageId}/retry", post(queue::retry::retry))
        .route("/v1/queue/{messageId}/cancel", post(queue::cancel::cancel))
        .route("/v1/queue/{messageId}/why", get(queue::why::why))
        .route("/v1/conversations/{conversationId}", get(conversations::get::get))
        .route("/v1/conversations/{conversationId}/free", post(conversations::free::free))
        .route("/v1/workers", get(workers::list::list).post(workers::register::register))
        .route("/v1/workers/reconcile", post(workers::reconcile::reconcile))
        .route("/v1/workers/{workerId}", get(workers::get::get))
        .route("/v1/skills", get(skills::list::list).post(skills::deploy::deploy))
        .route("/v1/skills/{slug}", get(skills::get::get).delete(skills::delete::delete))
        .route("/v1/skills/{slug}/status", put(skills::status::put))
        .route("/v1/skills/{slug}/activate", post(skills::activate::activate))
        .route("/v1/skills/{slug}/versions", get(skills::versions::list))
        .route("/v1/skills/{slug}/versions/{version}", get(skills::version::get))
        .route("/v1/keys", get(keys::list::list).post(keys::create::create))
        .route("/v1/keys/{keyId}", delete(keys::revoke::revoke))
        .route("/openapi.json", get(routes::openapi::openapi))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready));
    Ok(service(router.with_state(app)))
}
