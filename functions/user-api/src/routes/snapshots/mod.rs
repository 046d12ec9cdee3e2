//! The files that an agent keeps for a user.

mod latest;
mod list;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Served;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Served> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(latest::latest))
}
