//! `queue`: figures, lists, single messages, and what mends them.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::api::{Api, segment, text};
use crate::output;

/// Calls of one `retry --all`: each looks at a hundred dead letters, so this many end any queue that one person mends.
const RETRY_CALLS_MAX: usize = 1_000;

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
        /// Only this agent
        #[arg(long)]
        agent: Option<String>,
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
    /// Show a message with its attempts
    Show {
        /// Its id
        message: String,
    },
    /// What a message waits for
    Why {
        /// Its id
        message: String,
    },
    /// Queue a dead letter again, or all of a conversation or an agent
    Retry {
        /// Its id
        #[arg(required_unless_present = "all", conflicts_with_all = ["all", "whose"])]
        message: Option<String>,
        /// All dead letters of --conversation or --agent
        #[arg(long, requires = "whose")]
        all: bool,
        /// With --all: of this conversation
        #[arg(long, requires = "all", group = "whose")]
        conversation: Option<String>,
        /// With --all: of this agent
        #[arg(long, requires = "all", group = "whose")]
        agent: Option<String>,
    },
    /// Cancel a message; a running one is stopped by its worker's next heartbeat
    Cancel {
        /// Its id
        message: String,
    },
}

impl Queue {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Queue::Stats => stats(api).await,
            Queue::List { status, conversation, agent, limit, cursor } => {
                let mut query = format!("limit={limit}");
                let filters = [
                    ("status", status),
                    ("conversationId", conversation),
                    ("agentKey", agent),
                    ("cursor", cursor),
                ];
                for (name, value) in filters {
                    if let Some(value) = value {
                        query = format!("{query}&{name}={}", segment(&value));
                    }
                }
                list(api, &api.get(&format!("/v1/queue/messages?{query}")).await?);
                Ok(())
            }
            Queue::Recover { dry_run } => recover(api, dry_run).await,
            Queue::Show { message } => {
                show(api, &api.get(&format!("/v1/messages/{}", segment(&message))).await?);
                Ok(())
            }
            Queue::Why { message } => {
                why(api, &api.get(&format!("/v1/queue/{}/why", segment(&message))).await?);
                Ok(())
            }
            Queue::Retry { message: Some(message), .. } => {
                let retried = api.post(&format!("/v1/queue/{}/retry", segment(&message)), &json!({})).await?;
                said(api, &retried, &format!("{message} waits again"));
                Ok(())
            }
            Queue::Retry { conversation, agent, .. } => retry_all(api, conversation, agent).await,
            Queue::Cancel { message } => {
                let path = format!("/v1/queue/{}/cancel", segment(&message));
                let cancelled = api.post(&path, &json!({})).await?;
                let words = match cancelled["cancelling"] == true {
                    true => format!("{message} runs; its worker is told with the next heartbeat"),
                    false => format!("{message} is cancelled"),
                };
                said(api, &cancelled, &words);
                Ok(())
            }
        }
    }
}

async fn stats(api: &Api) -> anyhow::Result<()> {
    let stats = api.get("/v1/queue/stats").await?;
    if api.json {
        output::json(&stats);
        return Ok(());
    }
    let fields = ["queuedReady", "queuedScheduled", "processing", "deadLetter", "oldestReadyAgeMs"];
    output::table(&fields, vec![fields.iter().map(|f| text(&stats[*f])).collect()]);
    Ok(())
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

fn show(api: &Api, message: &Value) {
    if api.json {
        output::json(message);
        return;
    }
    let names = [
        "messageId",
        "conversationId",
        "agentKey",
        "status",
        "cancelling",
        "priority",
        "attempts",
        "enqueuedAt",
        "scheduledFor",
        "finishedAt",
        "progress",
        "lastError",
        "reply",
    ];
    fields(message, &names);
    let attempts: Vec<_> = message["attemptLog"].as_array().into_iter().flatten().map(attempt).collect();
    if !attempts.is_empty() {
        output::line("");
        output::table(&["attempt", "fence", "worker", "outcome", "ended by", "took", "error"], attempts);
    }
}

fn attempt(attempt: &Value) -> Vec<String> {
    let took = attempt["endedAt"].as_u64().zip(attempt["claimedAt"].as_u64());
    let took =
        took.map_or_else(|| "-".to_owned(), |(end, begin)| format!("{} ms", end.saturating_sub(begin)));
    let [number, fence, worker, outcome, ended_by, error] =
        ["number", "fence", "workerId", "outcome", "endedBy", "error"].map(|name| text(&attempt[name]));
    vec![number, fence, worker, outcome, ended_by, took, error]
}

fn why(api: &Api, why: &Value) {
    if api.json {
        output::json(why);
        return;
    }
    output::line(&text(&why["reason"]));
    fields(why, &["status", "waitsFor", "until", "workerId", "behindMessageId"]);
}

async fn retry_all(api: &Api, conversation: Option<String>, agent: Option<String>) -> anyhow::Result<()> {
    let mut body = match (conversation, agent) {
        (Some(conversation), _) => json!({"conversationId": conversation}),
        (None, agent) => json!({"agentKey": agent}),
    };
    let (mut retried, mut full, mut refused) = (0, Vec::new(), Vec::new());
    for _ in 0..RETRY_CALLS_MAX {
        let done = api.post("/v1/queue/retry", &body).await?;
        retried += done["retried"].as_u64().unwrap_or_default();
        full.extend(done["full"].as_array().into_iter().flatten().cloned());
        refused.extend(done["refused"].as_array().into_iter().flatten().cloned());
        match &done["nextCursor"] {
            Value::String(next) => body["cursor"] = next.clone().into(),
            _ => break,
        }
    }
    if api.json {
        output::json(&json!({"retried": retried, "full": full, "refused": refused}));
        return Ok(());
    }
    output::line(&format!("{retried} wait again"));
    for (ids, why) in [(full, "its conversation is full"), (refused, "its agent takes no messages")] {
        for id in ids {
            output::line(&format!("{} stays a dead letter: {why}", text(&id)));
        }
    }
    Ok(())
}

/// Prints an answer, or what it means.
fn said(api: &Api, answer: &Value, words: &str) {
    if api.json { output::json(answer) } else { output::line(words) }
}

/// Prints those of these fields that are there.
fn fields(value: &Value, names: &[&str]) {
    let there = names.iter().filter(|name| !value[**name].is_null());
    output::table(&["field", "value"], there.map(|n| vec![(*n).to_owned(), text(&value[*n])]).collect());
}
