//! Secrets: imported, listed, deleted. No answer holds a value.

mod delete;
mod put;
mod status;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Shared;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(status::status)).routes(routes!(put::put, delete::delete))
}
