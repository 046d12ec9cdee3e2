//! A user's conversation with an agent.

mod get;
mod send;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Served;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Served> {
    OpenApiRouter::new().routes(routes!(get::get)).routes(routes!(send::send))
}
