//! The worker pool.

mod conversions;
mod get;
mod list;
mod reconcile;
mod register;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Shared;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list::list, register::register))
        .routes(routes!(reconcile::reconcile))
        .routes(routes!(get::get))
}
