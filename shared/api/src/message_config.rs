//! The message config: settings of every message that a worker gets.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The message config.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageConfig {
    /// A text that stands below the text of every message, after a blank line, when a worker gets it. It is neither
    /// stored nor shown with the message.
    pub system_prompt: Option<String>,
    /// How long files that people send are kept, ms. Without it, the policy `retention.attachmentMs` applies.
    pub telegram_attachment_retention_ms: Option<u64>,
}
