//! The routes by domain, one endpoint a file.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shared;

mod agents {
    pub mod delete;
    pub mod get;
    pub mod list;
    pub mod put;
    pub mod required_secrets;
    pub mod rotate_token;
    pub mod telegram_token;
}
mod bindings {
    pub mod resolve;
}
mod broadcasts {
    pub mod cancel;
    pub mod dispatches;
    pub mod get;
    pub mod list;
    pub mod send;
}
mod conversations {
    pub mod free;
    pub mod get;
}
/// The deployment itself. These routes need no key.
mod deployment {
    pub mod health;
    pub mod openapi;
}
mod documents {
    pub mod delete;
    pub mod get;
    pub mod list;
    pub mod put;
    pub mod versions;
}
mod ingress_config {
    pub mod get;
    pub mod put;
}
mod keys {
    pub mod create;
    pub mod list;
    pub mod revoke;
}
mod message_config {
    pub mod get;
    pub mod put;
}
mod message_templates {
    pub mod create;
    pub mod delete;
    pub mod get;
    pub mod list;
    pub mod put;
}
mod messages {
    pub mod enqueue;
    pub mod get;
}
mod outbox {
    pub mod drop;
    pub mod list;
    pub mod resend;
}
mod policies {
    pub mod get;
    pub mod put;
}
mod prices {
    pub mod get;
    pub mod put;
}
mod provider {
    pub mod cleanup;
    pub mod readiness;
    pub mod volume;
}
mod provider_config {
    pub mod get;
    pub mod put;
    pub mod wire;
}
mod push_dispatches {
    pub mod list;
}
mod push_jobs {
    pub mod dispatch;
    pub mod dispatches;
    pub mod list;
}
mod push_templates {
    pub mod create;
    pub mod delete;
    pub mod get;
    pub mod list;
    pub mod put;
    mod settings;
}
mod queue {
    pub mod cancel;
    pub mod list;
    pub mod recover;
    pub mod retry;
    pub mod retry_all;
    pub mod stats;
    pub mod why;
}
mod secrets {
    pub mod delete;
    pub mod put;
    pub mod status;
}
mod skills {
    pub mod activate;
    pub mod delete;
    pub mod deploy;
    pub mod get;
    pub mod list;
    pub mod status;
    pub mod version;
    pub mod versions;
}
mod snapshots {
    pub mod list;
    pub mod skip;
}
mod telegram_webhooks;
mod usage {
    pub mod list;
}
mod workers {
    pub mod get;
    pub mod list;
    pub mod reconcile;
    pub mod register;
}

/// All routes. Each handler declares its path, method, scopes and schemas; handlers of one path share a line.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(agents::list::list))
        .routes(routes!(agents::get::get, agents::put::put, agents::delete::delete))
        .routes(routes!(agents::telegram_token::put))
        .routes(routes!(documents::list::list))
        .routes(routes!(documents::get::get, documents::put::put, documents::delete::delete))
        .routes(routes!(documents::versions::versions))
        .routes(routes!(agents::required_secrets::get))
        .routes(routes!(agents::rotate_token::rotate))
        .routes(routes!(bindings::resolve::resolve))
        .routes(routes!(broadcasts::list::list, broadcasts::send::send))
        .routes(routes!(broadcasts::get::get))
        .routes(routes!(broadcasts::cancel::cancel))
        .routes(routes!(broadcasts::dispatches::list))
        .routes(routes!(conversations::get::get))
        .routes(routes!(conversations::free::free))
        .routes(routes!(snapshots::list::list))
        .routes(routes!(snapshots::skip::skip))
        .routes(routes!(deployment::openapi::openapi))
        .routes(routes!(deployment::health::alive))
        .routes(routes!(deployment::health::ready))
        .routes(routes!(ingress_config::get::get, ingress_config::put::put))
        .routes(routes!(keys::list::list, keys::create::create))
        .routes(routes!(keys::revoke::revoke))
        .routes(routes!(message_config::get::get, message_config::put::put))
        .routes(routes!(message_templates::list::list, message_templates::create::create))
        .routes(routes!(
            message_templates::get::get,
            message_templates::put::put,
            message_templates::delete::delete
        ))
        .routes(routes!(messages::enqueue::enqueue))
        .routes(routes!(messages::get::get))
        .routes(routes!(outbox::list::list))
        .routes(routes!(outbox::drop::drop))
        .routes(routes!(outbox::resend::resend))
        .routes(routes!(policies::get::get, policies::put::put))
        .routes(routes!(prices::get::get, prices::put::put))
        .routes(routes!(provider::readiness::readiness))
        .routes(routes!(provider::cleanup::cleanup))
        .routes(routes!(provider::volume::delete))
        .routes(routes!(provider_config::get::get, provider_config::put::put))
        .routes(routes!(push_dispatches::list::list))
        .routes(routes!(push_jobs::list::list))
        .routes(routes!(push_jobs::dispatch::dispatch))
        .routes(routes!(push_jobs::dispatches::list))
        .routes(routes!(push_templates::list::list, push_templates::create::create))
        .routes(routes!(push_templates::get::get, push_templates::put::put, push_templates::delete::delete))
        .routes(routes!(queue::stats::stats))
        .routes(routes!(queue::list::list))
        .routes(routes!(queue::recover::recover))
        .routes(routes!(queue::retry_all::retry_all))
        .routes(routes!(queue::retry::retry))
        .routes(routes!(queue::cancel::cancel))
        .routes(routes!(queue::why::why))
        .routes(routes!(secrets::status::status))
        .routes(routes!(secrets::put::put, secrets::delete::delete))
        .routes(routes!(skills::list::list, skills::deploy::deploy))
        .routes(routes!(skills::get::get, skills::delete::delete))
        .routes(routes!(skills::status::put))
        .routes(routes!(skills::activate::activate))
        .routes(routes!(skills::versions::list))
        .routes(routes!(skills::version::get))
        .routes(routes!(telegram_webhooks::configure))
        .routes(routes!(usage::list::list))
        .routes(routes!(workers::list::list, workers::register::register))
        .routes(routes!(workers::reconcile::reconcile))
        .routes(routes!(workers::get::get))
}
