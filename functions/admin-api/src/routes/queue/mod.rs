//! The queue: counts, lists, and the calls that repair it.

mod cancel;
mod list;
mod recover;
mod retry;
mod retry_all;
mod stats;
mod why;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Shared;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(stats::stats))
        .routes(routes!(list::list))
        .routes(routes!(recover::recover))
        .routes(routes!(retry_all::retry_all))
        .routes(routes!(retry::retry))
        .routes(routes!(cancel::cancel))
        .routes(routes!(why::why))
}
