//! API keys.

pub mod create;
pub mod list;
pub mod revoke;

use af_app::access::api_keys::ApiKey;
use af_app::access::auth::Scope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An API key without its secret. Times are epoch ms.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyBody {
    key_id: String,
    /// What it is for, in its maker's words.
    name: String,
    /// What it opens: `admin`, `app`, `read`.
    scopes: Vec<String>,
    created_at: u64,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
}

/// What a key opens.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScopeName {
    /// The operator API, and all else.
    Admin,
    /// The user API and enqueueing.
    App,
    /// Reading the operator API.
    Read,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Admin => Scope::Admin,
            ScopeName::App => Scope::App,
            ScopeName::Read => Scope::Read,
        }
    }
}

impl From<ApiKey> for KeyBody {
    fn from(key: ApiKey) -> Self {
        Self {
            key_id: key.id,
            name: key.name,
            scopes: key.scopes,
            created_at: key.created_at.as_millis(),
            expires_at: key.expires_at.map(|at| at.as_millis()),
        }
    }
}
