//! `conversations`: who has one, and taking it from a worker that hangs.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::api::{Api, segment, text};
use crate::output;

/// Conversations.
#[derive(Debug, Subcommand)]
pub enum Conversations {
    /// Show who has a conversation, what runs and what waits
    Show {
        /// Its id
        conversation: String,
    },
    /// Take a conversation from its worker; what ran counts as a failed attempt
    Free {
        /// Its id
        conversation: String,
        /// Why; stands in the error of the attempt that is ended
        #[arg(long)]
        reason: String,
    },
}

impl Conversations {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Conversations::Show { conversation } => {
                let shown = api.get(&path(&conversation)).await?;
                if api.json { output::json(&shown) } else { show(&shown) }
            }
            Conversations::Free { conversation, reason } => {
                // Only the claim that is there now: sent again, the call cannot hit the next one.
                let fence = api.get(&path(&conversation)).await?["fence"].clone();
                let body = json!({"reason": reason, "fence": fence});
                let freed = api.post(&format!("{}/free", path(&conversation)), &body).await?;
                if api.json {
                    output::json(&freed);
                    return Ok(());
                }
                output::line(&format!("taken from worker {}, which drains", text(&freed["workerId"])));
                if let Some(message) = freed["messageId"].as_str() {
                    output::line(&format!("message {message}: {}", text(&freed["outcome"])));
                }
            }
        }
        Ok(())
    }
}

fn path(conversation: &str) -> String {
    format!("/v1/conversations/{}", segment(conversation))
}

fn show(shown: &Value) {
    let (owner, lease, last) = (&shown["owner"], &shown["lease"], &shown["lastOutcome"]);
    let rows = [
        ("conversation", &shown["conversationId"]),
        ("agent", &shown["agentKey"]),
        ("fence", &shown["fence"]),
        ("owner", &owner["workerId"]),
        ("owner's state", &owner["state"]),
        ("runs", &lease["messageId"]),
        ("attempt", &lease["attempt"]),
        ("lease ends", &lease["expiresAt"]),
        ("cancelled", &lease["cancelled"]),
        ("last outcome", &last["outcome"]),
        ("waiting", &shown["pendingCount"]),
    ];
    let rows = rows.into_iter().filter(|(_, value)| !value.is_null());
    output::table(
        &["field", "value"],
        rows.map(|(name, value)| vec![name.to_owned(), text(value)]).collect(),
    );
    let row =
        |p: &Value| ["messageId", "priority", "scheduledFor", "attempts"].map(|name| text(&p[name])).to_vec();
    let pending: Vec<_> = shown["pending"].as_array().into_iter().flatten().map(row).collect();
    if !pending.is_empty() {
        output::line("");
        output::table(&["next", "priority", "not before", "attempts"], pending);
    }
}
