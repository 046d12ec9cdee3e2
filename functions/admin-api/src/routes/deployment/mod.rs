//! The deployment itself: its health and its OpenAPI document. These routes need no key.

mod health;
mod openapi;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Shared;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(openapi::openapi))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
}
