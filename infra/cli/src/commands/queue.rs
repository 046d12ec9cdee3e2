//! `queue`: counts and lists messages, shows one, retries and cancels.

use af_api::id::Id;
use af_api::messages::{AttemptBody, CancelBody, DeliveryBody, MessageBody, MessageWithAttempts};
use af_api::pages::{Limit, Page};
use af_api::queue::{
    MalformedConversation, QueueQuery, QueueStats, QueueStatus, RecoverAnswer, RecoverRequest,
    RetryAllAnswer, RetryAllRequest, RetryAnswer, WhyAnswer,
};
use af_domain::ids::{AgentKey, ConversationId};
use clap::Subcommand;
use serde_json::json;

use super::outbox::parts;
use crate::api::{Answer, Api, segment};
use crate::output;

/// The most calls of one `retry --all`. Each looks at a hundred dead letters, so this covers 100 000 of them.
const MAX_RETRY_CALLS: usize = 1_000;

/// The queue.
#[derive(Debug, Subcommand)]
pub enum Queue {
    /// Count the messages that wait, run and are dead letters
    ///
    /// Example: agent-factory queue stats
    #[command(verbatim_doc_comment)]
    Stats,
    /// List messages of a state, or of a conversation
    ///
    /// Example: agent-factory queue list --status dead_letter --agent support
    #[command(verbatim_doc_comment)]
    List {
        /// queued, processing or dead_letter; done and cancelled only with --conversation
        #[arg(long, required_unless_present = "conversation")]
        status: Option<QueueStatus>,
        /// Only this conversation
        #[arg(long)]
        conversation: Option<ConversationId>,
        /// Only this agent
        #[arg(long)]
        agent: Option<AgentKey>,
        /// Most messages on the page, 1 to 200
        #[arg(long, default_value_t)]
        limit: Limit,
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Check the consistency of all conversations, and repair those that the system itself would not find any more
    ///
    /// Example: agent-factory queue recover --dry-run
    #[command(verbatim_doc_comment)]
    Recover {
        /// Only report problems
        #[arg(long)]
        dry_run: bool,
    },
    /// Show a message with its attempts
    ///
    /// Example: agent-factory queue show 01K8ZD3V7Q2M4N6P8R0T2W4Y6A
    #[command(verbatim_doc_comment)]
    Show {
        /// The id of the message
        message: String,
    },
    /// Show what a message waits for
    ///
    /// Example: agent-factory queue why 01K8ZD3V7Q2M4N6P8R0T2W4Y6A
    #[command(verbatim_doc_comment)]
    Why {
        /// Its id
        message: String,
    },
    /// Queue a dead letter again, or all of a conversation or an agent
    ///
    /// Example: agent-factory queue retry --all --agent support
    #[command(verbatim_doc_comment)]
    Retry {
        /// Its id
        #[arg(required_unless_present = "all", conflicts_with_all = ["all", "scope"])]
        message: Option<String>,
        /// All dead letters of --conversation or --agent
        #[arg(long, requires = "scope")]
        all: bool,
        /// With --all: of this conversation
        #[arg(long, requires = "all", group = "scope")]
        conversation: Option<ConversationId>,
        /// With --all: of this agent
        #[arg(long, requires = "all", group = "scope")]
        agent: Option<AgentKey>,
    },
    /// Cancel a message; a running message stops with its worker's next heartbeat
    ///
    /// Example: agent-factory queue cancel 01K8ZD3V7Q2M4N6P8R0T2W4Y6A
    #[command(verbatim_doc_comment)]
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
                let (conversation_id, agent_key) = (conversation.map(Id), agent.map(Id));
                list(api, &QueueQuery { status, conversation_id, agent_key, limit, cursor }).await
            }
            Queue::Recover { dry_run } => recover(api, dry_run).await,
            Queue::Show { message } => {
                api.get(&format!("/v1/messages/{}", segment(&message))).await?.print(show);
                Ok(())
            }
            Queue::Why { message } => {
                api.get(&format!("/v1/queue/{}/why", segment(&message))).await?.print(why);
                Ok(())
            }
            Queue::Retry { message: Some(message), .. } => {
                let path = format!("/v1/queue/{}/retry", segment(&message));
                let retried: Answer<RetryAnswer> = api.post(&path, &json!({})).await?;
                retried.print(|_| output::line(&format!("{message} waits again")));
                Ok(())
            }
            Queue::Retry { conversation, agent, .. } => {
                let (conversation_id, agent_key) = (conversation.map(Id), agent.map(Id));
                retry_all(api, RetryAllRequest { conversation_id, agent_key, cursor: None }).await
            }
            Queue::Cancel { message } => {
                let path = format!("/v1/queue/{}/cancel", segment(&message));
                let cancelled: Answer<CancelBody> = api.post(&path, &json!({})).await?;
                cancelled.print(|cancelled| {
                    output::line(&if cancelled.cancelling {
                        format!(
                            "{message} runs; its worker learns of the cancellation with its next heartbeat"
                        )
                    } else {
                        format!("{message} is cancelled")
                    });
                });
                Ok(())
            }
        }
    }
}

async fn stats(api: &Api) -> anyhow::Result<()> {
    let stats: Answer<QueueStats> = api.get("/v1/queue/stats").await?;
    stats.print(|stats| {
        let counts = [stats.queued_ready, stats.queued_scheduled, stats.processing, stats.dead_letter];
        let ages = [stats.oldest_ready_age_ms, stats.oldest_waiting_age_ms];
        let ages = ages.map(|age| output::or_dash(age.map(output::span)));
        output::table(
            &["queuedReady", "queuedScheduled", "processing", "deadLetter", "oldestReady", "oldestWaiting"],
            vec![counts.iter().map(ToString::to_string).chain(ages).collect()],
        );
    });
    Ok(())
}

/// Calls until all conversations are checked.
async fn recover(api: &Api, dry_run: bool) -> anyhow::Result<()> {
    let (mut checked, mut found) = (0, Vec::new());
    let mut request = RecoverRequest { cursor: None, repair: !dry_run };
    loop {
        let page = api.post::<RecoverAnswer>("/v1/queue/recover", &request).await?.body;
        checked += page.checked;
        found.extend(page.found);
        request.cursor = page.next_cursor;
        if request.cursor.is_none() {
            break;
        }
    }
    if api.json {
        output::json(&json!({"checked": checked, "found": found}));
        return Ok(());
    }
    let problems = found.len();
    if problems > 0 {
        let row = |f: MalformedConversation| vec![f.conversation_id, f.problem, f.repaired.to_string()];
        output::table(&["conversation", "problem", "repaired"], found.into_iter().map(row).collect());
    }
    output::line(&format!("{checked} conversations with work or an owner checked, {problems} problems"));
    Ok(())
}

async fn list(api: &Api, query: &QueueQuery) -> anyhow::Result<()> {
    let page: Answer<Page<MessageBody>> = api.find("/v1/queue/messages", query).await?;
    let row = |m: MessageBody| {
        let last_error = output::or_dash(m.last_error);
        vec![m.message_id, m.status, m.conversation_id, m.attempts.to_string(), last_error]
    };
    let headings = ["message", "status", "conversation", "attempts", "last error"];
    page.print(|page| output::page(&headings, page, row));
    Ok(())
}

fn show(MessageWithAttempts { message, attempt_log }: MessageWithAttempts) {
    let number = |number: Option<u64>| number.map(|n| n.to_string());
    let (delivery, usage) = (message.delivery, message.usage.unwrap_or_default());
    let of_delivery = |field: fn(&DeliveryBody) -> Option<String>| delivery.as_ref().and_then(field);
    output::fields([
        ("messageId", Some(message.message_id)),
        ("conversationId", Some(message.conversation_id)),
        ("agentKey", Some(message.agent_key)),
        ("status", Some(message.status)),
        ("cancelling", message.cancelling.then(|| "true".to_owned())),
        ("priority", Some(message.priority.to_string())),
        ("attempts", Some(message.attempts.to_string())),
        ("enqueuedAt", Some(output::time(message.enqueued_at))),
        ("scheduledFor", message.scheduled_for.map(output::time)),
        ("finishedAt", message.finished_at.map(output::time)),
        ("progress", message.progress),
        ("lastError", message.last_error),
        ("reply", message.reply),
        ("delivery", of_delivery(|delivery| Some(delivery.state.clone()))),
        ("chat", of_delivery(|delivery| Some(delivery.chat.clone()))),
        ("deliveryReason", of_delivery(|delivery| delivery.reason.clone())),
        ("deliveryParts", of_delivery(|delivery| Some(parts(&delivery.parts)))),
        ("model", usage.model),
        ("inputTokens", number(Some(usage.input_tokens).filter(|tokens| *tokens > 0))),
        ("outputTokens", number(Some(usage.output_tokens).filter(|tokens| *tokens > 0))),
        ("costMicros", number(usage.cost_micros)),
    ]);
    let attempts: Vec<_> = attempt_log.into_iter().map(attempt).collect();
    if !attempts.is_empty() {
        output::line("");
        output::table(&["attempt", "fence", "worker", "outcome", "ended by", "took", "error"], attempts);
    }
}

fn attempt(attempt: AttemptBody) -> Vec<String> {
    let took = attempt.ended_at.map(|end| output::span(end.saturating_sub(attempt.claimed_at)));
    vec![
        attempt.number.to_string(),
        attempt.fence.to_string(),
        attempt.worker_id,
        attempt.outcome,
        output::or_dash(attempt.ended_by),
        output::or_dash(took),
        output::or_dash(attempt.error),
    ]
}

fn why(answer: WhyAnswer) {
    output::line(&answer.reason);
    output::fields([
        ("status", Some(answer.status)),
        ("waitsFor", Some(answer.waits_for)),
        ("until", answer.until.map(output::time)),
        ("workerId", answer.worker_id),
        ("behindMessageId", answer.behind_message_id),
        ("delivery", answer.delivery),
    ]);
}

async fn retry_all(api: &Api, mut request: RetryAllRequest) -> anyhow::Result<()> {
    let (mut retried, mut full, mut refused) = (0, Vec::new(), Vec::new());
    for _ in 0..MAX_RETRY_CALLS {
        let done = api.post::<RetryAllAnswer>("/v1/queue/retry", &request).await?.body;
        retried += done.retried;
        full.extend(done.full);
        refused.extend(done.refused);
        request.cursor = done.next_cursor;
        if request.cursor.is_none() {
            break;
        }
    }
    if api.json {
        output::json(&json!({"retried": retried, "full": full, "refused": refused}));
        return Ok(());
    }
    output::line(&format!("{retried} wait again"));
    for (ids, why) in [(full, "its conversation's queue is full"), (refused, "its agent takes no messages")] {
        for id in ids {
            output::line(&format!("{id} stays a dead letter: {why}"));
        }
    }
    Ok(())
}
