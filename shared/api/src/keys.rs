//! API keys.

use af_domain::ids::CompanyId;
use af_domain::named_enum;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::Id;

/// An API key without its secret. Times are epoch ms.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyBody {
    /// The key's id.
    pub key_id: String,
    /// The key's purpose, in its maker's words.
    pub name: String,
    /// The key's scopes: `admin`, `app`, `read`.
    pub scopes: Vec<String>,
    /// When the key was made.
    pub created_at: u64,
    /// When the key expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// The company to which the key is bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company_id: Option<String>,
}

named_enum! {
    /// What a key opens.
    #[derive(Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum Scope {
        /// The whole API of operators and of users.
        Admin = "admin",
        /// The user API and enqueueing.
        App = "app",
        /// Reading the operator API.
        Read = "read",
    }
}

/// A key to make.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyRequest {
    /// The key's purpose.
    pub name: String,
    /// What the key opens.
    pub scopes: Vec<Scope>,
    /// When the key expires, epoch ms. A key without it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// The company to which the key is bound. A key without it is bound to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub company_id: Option<Id<CompanyId>>,
}

/// A new key.
// It holds a secret, so it has no `Debug`.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct NewKey {
    /// The key without its secret.
    #[serde(flatten)]
    pub body: KeyBody,
    /// The key itself. No other answer shows it.
    pub key: String,
}
