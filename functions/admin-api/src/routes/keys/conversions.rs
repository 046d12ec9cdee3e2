//! Keys and scopes, as wire types and as use cases take them.

use af_api::keys::{KeyBody, ScopeName};
use af_app::access::api_keys::ApiKey;
use af_app::access::auth::Scope;
use af_domain::time::Timestamp;

/// The scope that a request names.
pub fn scope(name: ScopeName) -> Scope {
    match name {
        ScopeName::Admin => Scope::Admin,
        ScopeName::App => Scope::App,
        ScopeName::Read => Scope::Read,
    }
}

/// A key as it is shown.
pub fn body(key: ApiKey) -> KeyBody {
    KeyBody {
        key_id: key.id,
        name: key.name,
        scopes: key.scopes,
        created_at: key.created_at.as_millis(),
        expires_at: key.expires_at.map(Timestamp::as_millis),
    }
}
