//! Conversations: shown, and freed from a worker that hangs.

mod free;
mod get;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Shared;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(get::get)).routes(routes!(free::free))
}
