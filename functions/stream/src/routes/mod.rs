//! The only route.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::State;

mod stream;

/// All routes.
pub fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(stream::stream))
}
