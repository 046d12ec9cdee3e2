//! API keys.

mod create;
mod list;
mod revoke;

use af_api::keys::{KeyBody, ScopeName};
use af_app::access::api_keys::ApiKey;
use af_app::access::auth::Scope;
use af_domain::time::Timestamp;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shared;

/// The routes of this domain.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list::list, create::create)).routes(routes!(revoke::revoke))
}

/// The scope that a request names.
fn scope(name: ScopeName) -> Scope {
    match name {
        ScopeName::Admin => Scope::Admin,
        ScopeName::App => Scope::App,
        ScopeName::Read => Scope::Read,
    }
}

/// A key as it is shown.
fn body(key: ApiKey) -> KeyBody {
    KeyBody {
        key_id: key.id,
        name: key.name,
        scopes: key.scopes,
        created_at: key.created_at.as_millis(),
        expires_at: key.expires_at.map(Timestamp::as_millis),
    }
}
