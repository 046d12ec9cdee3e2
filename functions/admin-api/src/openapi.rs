//! The part of the OpenAPI document that these routes make.

use af_http::Problem;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;

use crate::routes;

#[derive(OpenApi)]
#[openapi(
    components(schemas(Problem)),
    paths(
        routes::agents::delete::delete,
        routes::agents::get::get,
        routes::agents::list::list,
        routes::agents::put::put,
        routes::agents::telegram_token::put,
        routes::conversations::free::free,
        routes::conversations::get::get,
        routes::health::alive,
        routes::health::ready,
        routes::keys::create::create,
        routes::keys::list::list,
        routes::keys::revoke::revoke,
        routes::message_config::get::get,
        routes::message_config::put::put,
        routes::messages::enqueue::enqueue,
        routes::messages::get::get,
        routes::openapi::openapi,
        routes::policies::get::get,
        routes::policies::put::put,
        routes::provider::cleanup::cleanup,
        routes::provider::readiness::readiness,
        routes::provider::volume::delete,
        routes::provider_config::get::get,
        routes::provider_config::put::put,
        routes::queue::cancel::cancel,
        routes::queue::list::list,
        routes::queue::recover::recover,
        routes::queue::retry::retry,
        routes::queue::retry_all::retry_all,
        routes::queue::stats::stats,
        routes::queue::why::why,
        routes::secrets::delete::delete,
        routes::secrets::put::put,
        routes::secrets::status::status,
        routes::skills::activate::activate,
        routes::skills::delete::delete,
        routes::skills::deploy::deploy,
        routes::skills::get::get,
        routes::skills::list::list,
        routes::skills::status::put,
        routes::skills::version::get,
        routes::skills::versions::list,
        routes::telegram_webhooks::configure,
        routes::workers::get::get,
        routes::workers::list::list,
        routes::workers::reconcile::reconcile,
        routes::workers::register::register,
    )
)]
struct Routes;

/// What these routes take and answer.
pub fn openapi() -> Document {
    Routes::openapi()
}
