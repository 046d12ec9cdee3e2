//! One message of a user: shown and cancelled.

mod cancel;
mod get;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Served;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Served> {
    OpenApiRouter::new().routes(routes!(get::get, cancel::cancel))
}
