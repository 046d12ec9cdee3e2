//! Message templates.

use af_domain::template::MessageTemplate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A message template. Times are epoch ms.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageTemplateBody {
    /// The template's key. It follows from the first title and never changes.
    pub template_key: String,
    /// The title, for people.
    #[schema(example = "Good morning")]
    pub title: String,
    /// The text of the message.
    pub content: String,
    /// Tags in lower case, sorted.
    pub tags: Vec<String>,
    /// How many messages were sent with the template.
    pub usage_count: u64,
    /// When the template was made.
    pub created_at: u64,
    /// When its content was last changed.
    pub updated_at: u64,
}

/// The content of a template.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageTemplateRequest {
    /// 1 to 100 characters, with a letter or digit. The key of a new template follows from it.
    #[schema(example = "Good morning")]
    pub title: String,
    /// 1 to 4096 characters.
    pub content: String,
    /// At most 20 of 1 to 40 characters. They are trimmed, put into lower case and sorted.
    #[serde(default)]
    pub tags: Vec<String>,
}

impl From<MessageTemplate> for MessageTemplateBody {
    fn from(template: MessageTemplate) -> Self {
        Self {
            template_key: template.key.to_string(),
            title: template.content.title,
            content: template.content.content,
            tags: template.content.tags,
            usage_count: template.used,
            created_at: template.created_at.as_millis(),
            updated_at: template.updated_at.as_millis(),
        }
    }
}
