//! Broadcasts.

use af_domain::ids::CompanyId;
use af_domain::push::Broadcast;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::Id;

/// A new broadcast.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BroadcastRequest {
    /// The company in whose name it is sent; by default `default`.
    #[schema(value_type = Option<String>, example = "acme")]
    pub company_id: Option<Id<CompanyId>>,
    /// The title, the first paragraph of the message; 1 to 200 characters.
    #[schema(example = "News")]
    pub title: String,
    /// The text; 1 to 4 000 characters.
    #[schema(example = "We have moved.")]
    pub text: String,
    /// The person or program that asks for it; by default the id of the API key.
    #[schema(example = "marketing")]
    pub requested_by: Option<String>,
}

/// A broadcast and its progress.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BroadcastBody {
    /// The id.
    pub broadcast_id: String,
    /// The company.
    pub company_id: String,
    /// The title.
    pub title: String,
    /// The text.
    pub text: String,
    /// The person or program that asked for it.
    pub requested_by: String,
    /// `running`, `done`, `failed` or `cancelled`.
    #[schema(example = "running")]
    pub status: String,
    /// Targets so far. The number is complete when the broadcast is done.
    pub total_targets: u64,
    /// Targets with a message.
    pub enqueued_count: u64,
    /// Targets without a message; their dispatches say why.
    pub failed_count: u64,
    /// When it was accepted, epoch ms.
    pub created_at: u64,
    /// When it ended, epoch ms.
    pub completed_at: Option<u64>,
}

impl From<Broadcast> for BroadcastBody {
    fn from(broadcast: Broadcast) -> Self {
        Self {
            broadcast_id: broadcast.id.to_string(),
            company_id: broadcast.company.to_string(),
            title: broadcast.title,
            text: broadcast.text,
            requested_by: broadcast.requested_by,
            status: broadcast.status.as_str().to_owned(),
            total_targets: broadcast.counts.targets,
            enqueued_count: broadcast.counts.enqueued,
            failed_count: broadcast.counts.failed,
            created_at: broadcast.created_at.as_millis(),
            completed_at: broadcast.completed_at.map(|at| at.as_millis()),
        }
    }
}
