//! The routes by domain, one endpoint a file.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

mod agent {
    pub mod active;
    pub mod get;
    pub mod list;
    pub mod onboarding;
    pub mod overview;
    pub mod readiness;
    pub mod telegram_token;
    pub mod usage;
}
mod binding {
    pub mod delete;
    pub mod get;
    pub mod list;
    pub mod put;
}
mod conversation {
    pub mod events;
    pub mod get;
    pub mod queue;
    pub mod send;
}
mod documents {
    pub mod delete;
    pub mod get;
    pub mod list;
    pub mod put;
    pub mod versions;
}
mod managed_bot {
    pub mod create;
    pub mod get;
    pub mod rotate;
}
mod message {
    pub mod cancel;
    pub mod get;
}
mod pairing {
    pub mod create;
    pub mod create_code;
    pub mod get;
    pub mod get_code;
}
mod push_jobs {
    pub mod change;
    pub mod create;
    pub mod delete;
    pub mod dispatches;
    pub mod get;
    pub mod list;
    pub mod trigger;
}
mod tokens {
    pub mod create;
}
mod snapshots {
    pub mod latest;
    pub mod list;
}

/// All routes. Each handler declares its path, method, scopes and schemas; handlers of one path share a line.
pub fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(agent::list::list))
        .routes(routes!(agent::get::get))
        .routes(routes!(agent::active::active))
        .routes(routes!(agent::overview::overview))
        .routes(routes!(agent::usage::usage))
        .routes(routes!(tokens::create::create))
        .routes(routes!(agent::onboarding::onboarding))
        .routes(routes!(agent::readiness::readiness))
        .routes(routes!(agent::telegram_token::put))
        .routes(routes!(managed_bot::get::get, managed_bot::create::create))
        .routes(routes!(managed_bot::rotate::rotate))
        .routes(routes!(binding::list::list))
        .routes(routes!(pairing::get::get, pairing::create::create))
        .routes(routes!(pairing::create_code::create))
        .routes(routes!(pairing::get_code::get))
        .routes(routes!(binding::get::get, binding::put::put, binding::delete::delete))
        .routes(routes!(conversation::get::get))
        .routes(routes!(conversation::queue::queue))
        .routes(routes!(conversation::events::events))
        .routes(routes!(conversation::send::send))
        .routes(routes!(documents::list::list))
        .routes(routes!(documents::get::get, documents::put::put, documents::delete::delete))
        .routes(routes!(documents::versions::versions))
        .routes(routes!(message::get::get, message::cancel::cancel))
        .routes(routes!(push_jobs::list::list, push_jobs::create::create))
        .routes(routes!(push_jobs::get::get, push_jobs::change::change, push_jobs::delete::delete))
        .routes(routes!(push_jobs::trigger::trigger))
        .routes(routes!(push_jobs::dispatches::list))
        .routes(routes!(snapshots::list::list))
        .routes(routes!(snapshots::latest::latest))
}
