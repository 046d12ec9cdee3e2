//! Agent profiles.

mod delete;
mod get;
mod list;
mod put;
mod telegram_token;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Shared;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get, put::put, delete::delete))
        .routes(routes!(telegram_token::put))
}
