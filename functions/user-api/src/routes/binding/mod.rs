//! A user's binding: the agent and the conversation of the user.

mod delete;
mod get;
mod put;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Served;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Served> {
    OpenApiRouter::new().routes(routes!(get::get, put::put, delete::delete))
}
