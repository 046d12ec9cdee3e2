//! Secrets: imported and listed. No answer holds a value.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::secret_text::SecretText;

/// Which secrets to look up.
#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SecretsQuery {
    /// The secrets' names, separated by commas.
    pub refs: String,
}

/// Whether a secret exists.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretBody {
    /// The secret's name.
    pub secret_ref: String,
    /// Whether it has a value.
    pub has_active: bool,
    /// The version of that value.
    pub version: Option<String>,
}

/// The secrets that an agent needs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequiredSecrets {
    /// The agent.
    pub agent_key: String,
    /// The secrets that the profile names.
    pub items: Vec<SecretBody>,
    /// The names of those that have no value.
    pub missing: Vec<String>,
}

/// The value of a secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRequest {
    /// The value.
    #[schema(value_type = String)]
    pub plaintext_value: SecretText,
}

/// A secret that was imported.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretAnswer {
    /// The secret's name.
    pub secret_ref: String,
    /// The new version. Secrets Manager keeps the version before it.
    pub version: String,
}
