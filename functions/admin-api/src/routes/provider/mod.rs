//! The provider that runs workers.

mod cleanup;
mod readiness;
mod volume;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Shared;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(readiness::readiness))
        .routes(routes!(cleanup::cleanup))
        .routes(routes!(volume::delete))
}
