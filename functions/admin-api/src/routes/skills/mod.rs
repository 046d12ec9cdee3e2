//! Global skills.

mod activate;
mod conversions;
mod delete;
mod deploy;
mod get;
mod list;
mod status;
mod version;
mod versions;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Shared;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list::list, deploy::deploy))
        .routes(routes!(get::get, delete::delete))
        .routes(routes!(status::put))
        .routes(routes!(activate::activate))
        .routes(routes!(versions::list))
        .routes(routes!(version::get))
}
