//! `queue`: figures, lists, single messages.

use clap::Subcommand;
use serde_json::Value;

use crate::api::{Api, segment, text};
use crate::output;

/// The queue.
#[derive(Debug, Subcommand)]
pub enum Queue {
    /// How much waits, runs and is dead
    Stats,
    /// List messages of a state, or of a conversation
    List {
        /// queued, processing or dead_letter; done and cancelled only with --conversation
        #[arg(long, required_unless_present = "conversation")]
        status: Option<String>,
        /// Only this conversation
        #[arg(long)]
        conversation: Option<String>,
        /// Most rows
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show a message
    Show {
        /// Its id
        message: String,
    },
}

impl Queue {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Queue::Stats => {
                let stats = api.get("/v1/queue/stats").await?;
                if api.json {
                    output::json(&stats);
                    return Ok(());
                }
                let fields =
                    ["queuedReady", "queuedScheduled", "processing", "deadLetter", "oldestReadyAgeMs"];
                output::table(&fields, vec![fields.iter().map(|f| text(&stats[*f])).collect()]);
            }
            Queue::List { status, conversation, limit, cursor } => {
                let mut query = format!("limit={limit}");
                for (name, value) in
                    [("status", status), ("conversationId", conversation), ("cursor", cursor)]
                {
                    if let Some(value) = value {
                        query = format!("{query}&{name}={}", segment(&value));
                    }
                }
                let page = api.get(&format!("/v1/queue/messages?{query}")).await?;
                list(api, &page);
            }
            Queue::Show { message } => {
                output::json(&api.get(&format!("/v1/messages/{}", segment(&message))).await?)
            }
        }
        Ok(())
    }
}

fn list(api: &Api, page: &Value) {
    if api.json {
        output::json(page);
        return;
    }
    let row = |m: &Value| {
        [&m["messageId"], &m["status"], &m["conversationId"], &m["attempts"], &m["lastError"]]
            .map(text)
            .to_vec()
    };
    let rows = page["items"].as_array().into_iter().flatten().map(row).collect();
    output::table(&["message", "status", "conversation", "attempts", "last error"], rows);
    if let Some(next) = page["nextCursor"].as_str() {
        output::line(&format!("more: --cursor {next}"));
    }
}
