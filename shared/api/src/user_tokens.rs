//! User tokens, with which a browser or a phone calls the routes of one user.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How long a new token is valid.
#[serde_with::skip_serializing_none]
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserTokenRequest {
    /// The validity in seconds: 1 to 3600, by default 900.
    #[schema(minimum = 1, maximum = 3_600, example = 900)]
    pub ttl_seconds: Option<u64>,
}

/// A new token.
// It holds a secret, so it has no `Debug`.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserToken {
    /// The user whose routes the token opens.
    pub consumer_user_id: String,
    /// The token, for `Authorization: Bearer`. No other answer shows it.
    #[schema(example = "afu_…")]
    pub token: String,
    /// When the token expires, epoch ms.
    pub expires_at: u64,
}
