//! `conversations`: shows a conversation, frees it from a worker that hangs, and skips a snapshot that does harm.

use af_api::conversations::{ConversationBody, FreeAnswer, FreeRequest, PendingBody};
use af_api::pages::Page;
use af_api::snapshots::{SkipSnapshotRequest, SnapshotBody};
use clap::Subcommand;

use crate::api::{Answer, Api, segment};
use crate::output;

/// Conversations.
#[derive(Debug, Subcommand)]
pub enum Conversations {
    /// Show the owner of a conversation, the message that runs and those that wait
    ///
    /// Example: agent-factory conversations show user-agent:support:ann
    #[command(verbatim_doc_comment)]
    Show {
        /// Its id
        conversation: String,
    },
    /// Free a conversation from its worker; the message that runs counts as a failed attempt
    ///
    /// Example: agent-factory conversations free user-agent:support:ann --reason "the worker hangs"
    #[command(verbatim_doc_comment)]
    Free {
        /// Its id
        conversation: String,
        /// The reason; the error of the attempt repeats it
        #[arg(long)]
        reason: String,
    },
    /// List the snapshots of a conversation, the newest first, and why they failed
    ///
    /// Example: agent-factory conversations snapshots user-agent:support:ann
    #[command(verbatim_doc_comment)]
    Snapshots {
        /// Its id
        conversation: String,
    },
    /// Skip a snapshot: no worker restores it any more, and the one before takes its place
    ///
    /// Example: agent-factory conversations skip-snapshot user-agent:support:ann 01K8ZD3V7Q2M4N6P8R0T2W4Y6A --reason "the agent fails with it"
    #[command(verbatim_doc_comment)]
    SkipSnapshot {
        /// The id of the conversation
        conversation: String,
        /// The id of the snapshot
        snapshot: String,
        /// The reason, which is shown with the snapshot
        #[arg(long)]
        reason: String,
    },
}

impl Conversations {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Conversations::Show { conversation } => {
                let shown: Answer<ConversationBody> = api.get(&path(&conversation)).await?;
                shown.print(show);
                Ok(())
            }
            Conversations::Free { conversation, reason } => free(api, &conversation, reason).await,
            Conversations::Snapshots { conversation } => {
                let listed: Answer<Page<SnapshotBody>> =
                    api.get(&format!("{}/snapshots", path(&conversation))).await?;
                listed.print(|page| snapshots(page.items));
                Ok(())
            }
            Conversations::SkipSnapshot { conversation, snapshot, reason } => {
                let path = format!("{}/snapshots/{}/skip", path(&conversation), segment(&snapshot));
                let skipped: Answer<SnapshotBody> = api.post(&path, &SkipSnapshotRequest { reason }).await?;
                skipped.print(|snapshot| snapshots(vec![snapshot]));
                Ok(())
            }
        }
    }
}

async fn free(api: &Api, conversation: &str, reason: String) -> anyhow::Result<()> {
    // The fence limits the call to the present claim: a repeated call cannot end the next one.
    let now: Answer<ConversationBody> = api.get(&path(conversation)).await?;
    let request = FreeRequest { reason, fence: Some(now.body.fence) };
    let freed: Answer<FreeAnswer> = api.post(&format!("{}/free", path(conversation)), &request).await?;
    freed.print(|FreeAnswer { worker_id, message_id, outcome, .. }| {
        output::line(&format!("taken from worker {}, which drains", output::or_dash(worker_id)));
        if let Some(message) = message_id {
            output::line(&format!("message {message}: {}", output::or_dash(outcome)));
        }
    });
    Ok(())
}

fn snapshots(listed: Vec<SnapshotBody>) {
    let row = |snapshot: SnapshotBody| {
        let size = output::or_dash(snapshot.size_bytes.map(|bytes| bytes.to_string()));
        let created_at = output::time(snapshot.created_at);
        vec![snapshot.snapshot_id, snapshot.status, size, created_at, output::or_dash(snapshot.error)]
    };
    output::table(
        &["snapshot", "status", "bytes", "created at", "error"],
        listed.into_iter().map(row).collect(),
    );
}

fn path(conversation: &str) -> String {
    format!("/v1/conversations/{}", segment(conversation))
}

fn show(shown: ConversationBody) {
    let (owner, lease, last) = (shown.owner.as_ref(), shown.lease.as_ref(), shown.last_outcome);
    output::fields([
        ("conversation", Some(shown.conversation_id)),
        ("agent", Some(shown.agent_key)),
        ("fence", Some(shown.fence.to_string())),
        ("owner", owner.map(|owner| owner.worker_id.clone())),
        ("owner's state", owner.map(|owner| owner.state.clone())),
        ("runs", lease.map(|lease| lease.message_id.clone())),
        ("attempt", lease.map(|lease| lease.attempt.to_string())),
        ("lease ends", lease.map(|lease| output::time(lease.expires_at))),
        ("cancelled", lease.map(|lease| lease.cancelled.to_string())),
        ("last outcome", last.map(|last| last.outcome)),
        ("waiting", Some(shown.pending_count.to_string())),
    ]);
    let row = |p: PendingBody| {
        vec![p.message_id, p.priority.to_string(), output::time(p.scheduled_for), p.attempts.to_string()]
    };
    let pending: Vec<Vec<_>> = shown.pending.into_iter().map(row).collect();
    if !pending.is_empty() {
        output::line("");
        output::table(&["next", "priority", "not before", "attempts"], pending);
    }
}
