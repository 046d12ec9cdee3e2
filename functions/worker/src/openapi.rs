//! The part of the OpenAPI document that these routes make; the compatible face has a protocol of its own.

use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;

use crate::routes;

#[derive(OpenApi)]
#[openapi(paths(
    routes::bundle::bundle,
    routes::claim::claim,
    routes::complete::complete,
    routes::control::control,
    routes::fail::fail,
    routes::heartbeat::heartbeat,
    routes::history::append,
    routes::media::announce::announce,
    routes::media::get::get,
    routes::metadata::metadata,
    routes::poll::poll,
    routes::skills::skills,
    routes::snapshots::fail::fail,
    routes::snapshots::finalize::finalize,
    routes::snapshots::latest::latest,
    routes::snapshots::prepare::prepare,
))]
struct Routes;

/// What these routes take and answer.
pub fn openapi() -> Document {
    Routes::openapi()
}
