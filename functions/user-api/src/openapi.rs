//! The part of the OpenAPI document that these routes make.

use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;

use crate::routes;

#[derive(OpenApi)]
#[openapi(paths(
    routes::binding::delete::delete,
    routes::binding::get::get,
    routes::binding::put::put,
    routes::conversation::get,
    routes::message::cancel::cancel,
    routes::message::get::get,
    routes::send::send,
    routes::snapshots::latest::latest,
    routes::snapshots::list::list,
))]
struct Routes;

/// What these routes take and answer.
pub fn openapi() -> Document {
    Routes::openapi()
}
