//! `queue`: figures, lists, single messages.

use clap::Subcommand;
use serde_json::{Value, json};

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
    /// Look for conversations that nothing in the system would find any more, and repair them
    Recover {
        /// Only say what is wrong
        #[arg(long)]
        dry_run: bool,
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
            Queue::Recover { dry_run } => recover(api, dry_run).await?,
            Queue::Show { message } => {
                output::json(&api.get(&format!("/v1/messages/{}", segment(&message))).await?)
            }
        }
        Ok(())
    }
}

/// Calls until the walk has come to its end.
async fn recover(api: &Api, dry_run: bool) -> anyhow::Result<()> {
    let (mut checked, mut found, mut cursor) = (0, Vec::new(), Value::Null);
    loop {
        let mut request = json!({"repair": !dry_run});
        if !cursor.is_null() {
            request["cursor"] = cursor;
        }
        let mut page = api.post("/v1/queue/recover", &request).await?;
        checked += page["checked"].as_u64().unwrap_or_default();
        found.extend(page["found"].as_array().into_iter().flatten().cloned());
        cursor = page["nextCursor"].take();
        if cursor.is_null() {
            break;
        }
    }
    if api.json {
        output::json(&json!({"checked": checked, "found": found}));
        return Ok(());
    }
    if !found.is_empty() {
        let row = |f: &Value| [&f["conversationId"], &f["problem"], &f["repaired"]].map(text).to_vec();
        output::table(&["conversation", "problem", "repaired"], found.iter().map(row).collect());
    }
    output::line(&format!("{checked} conversations with work or an owner checked, {} problems", found.len()));
    Ok(())
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
