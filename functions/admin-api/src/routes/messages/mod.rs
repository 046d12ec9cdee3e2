//! Messages: enqueued and shown.

mod enqueue;
mod get;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Shared;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(enqueue::enqueue)).routes(routes!(get::get))
}
