//! A message: what came in, and how it ended.
//!
//! Stored states are `queued`, `done`, `dead_letter` and `cancelled`; `processing` is derived: a queued message
//! is processing while its conversation's lease names it (invariant 2).

use std::collections::BTreeMap;

use crate::attachment::Attachment;
use crate::attempt::Attempt;
use crate::conversation::Priority;
use crate::ids::{AgentKey, BotIdentity, ConversationId, ConversationKey, Fence, MessageId, WorkerId};
use crate::time::Timestamp;

/// Largest payload of a message in bytes, as JSON.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// What a message carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// Where it came from and where the answer goes: `telegram`, `system_push`, or the caller's own word.
    pub provider: String,
    /// Who sent it, in the provider's terms; for Telegram the chat to answer.
    pub provider_user_id: String,
    /// The text.
    pub message_text: String,
    /// The provider's own id of it.
    pub external_message_id: Option<String>,
    /// The provider's update as it came, JSON.
    pub raw_update_json: Option<String>,
    /// More about it; always has `providerUserId`.
    pub metadata: BTreeMap<String, String>,
    /// Files that came with it.
    pub attachments: Vec<Attachment>,
}

/// The stored state of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageStatus {
    /// It waits, or runs.
    Queued,
    /// A worker completed it.
    Done,
    /// Its attempts are used up, or no retry can help.
    DeadLetter,
    /// Its sender or an operator took it back.
    Cancelled,
}

impl MessageStatus {
    /// The state in the system's words.
    pub const fn as_str(self) -> &'static str {
        match self {
            MessageStatus::Queued => "queued",
            MessageStatus::Done => "done",
            MessageStatus::DeadLetter => "dead_letter",
            MessageStatus::Cancelled => "cancelled",
        }
    }

    /// Reads a stored state.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Queued, Self::Done, Self::DeadLetter, Self::Cancelled].into_iter().find(|s| s.as_str() == text)
    }
}

/// A message as its item holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// The partition of its conversation.
    pub key: ConversationKey,
    /// The agent it is for.
    pub agent: AgentKey,
    /// Its stored state.
    pub status: MessageStatus,
    /// Its priority.
    pub priority: Priority,
    /// When it was due first.
    pub due: Timestamp,
    /// When it was accepted.
    pub enqueued_at: Timestamp,
    /// What it carries.
    pub payload: Payload,
    /// Claims so far, as last written (a running claim is counted when it ends).
    pub attempts: u32,
    /// Why its latest attempt ended without success.
    pub last_error: Option<String>,
    /// The agent's answer.
    pub reply: Option<String>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Fence of the lease that ended it.
    pub fence: Option<Fence>,
    /// Claims it may have, while it is a dead letter: its queue entry, which knows them, is gone.
    pub max_attempts: Option<u32>,
    /// Its newest attempts that have ended, oldest first.
    pub attempt_log: Vec<Attempt>,
    /// The idempotency token of the call that queued it again, when it was a dead letter.
    pub retried_by: Option<String>,
    /// The bot that is to fetch its attachments, while some are pending.
    pub fetched_by: Option<BotIdentity>,
}

/// A message with its state at one moment.
#[derive(Debug, Clone)]
pub struct MessageView {
    /// The message.
    pub message: Message,
    /// `queued`, `processing`, `done`, `dead_letter` or `cancelled`.
    pub status: &'static str,
    /// Claims that count towards the limit, with a running one.
    pub attempts: u32,
    /// When it is due next, while it is queued.
    pub scheduled_for: Option<Timestamp>,
    /// What its worker last said of its progress, while it runs.
    pub progress: Option<String>,
    /// Whether it was cancelled while it runs: its worker learns that with the next heartbeat.
    pub cancelling: bool,
    /// The attempt that runs.
    pub running: Option<RunningAttempt>,
    /// The moment of this state.
    pub at: Timestamp,
}

/// An attempt that has not ended.
#[derive(Debug, Clone)]
pub struct RunningAttempt {
    /// The fence of its claim.
    pub fence: Fence,
    /// Which one it is, from 1.
    pub number: u32,
    /// The worker that holds the lease.
    pub worker: WorkerId,
    /// When it was claimed.
    pub claimed_at: Timestamp,
}

/// Who wrote a history entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The person.
    User,
    /// The agent.
    Assistant,
    /// An instruction.
    System,
    /// A tool's result.
    Tool,
}

impl Role {
    /// The role as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::System => "system",
            Role::Tool => "tool",
        }
    }

    /// Reads a role.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Assistant, Self::System, Self::Tool].into_iter().find(|r| r.as_str() == text)
    }
}

/// One entry of a conversation's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Who wrote it.
    pub role: Role,
    /// What.
    pub content: String,
    /// When.
    pub at: Timestamp,
}

/// A tool call that the agent made and that has not been answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingToolCall {
    /// Which tool.
    pub tool_name: String,
    /// The call's id.
    pub call_id: String,
    /// Where it stands, in the agent's words.
    pub status: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stored_word_is_read_back() {
        use MessageStatus::{Cancelled, DeadLetter, Done, Queued};
        assert!(
            [Queued, Done, DeadLetter, Cancelled]
                .iter()
                .all(|s| MessageStatus::parse(s.as_str()) == Some(*s))
        );
        assert!(
            [Role::User, Role::Assistant, Role::System, Role::Tool]
                .iter()
                .all(|r| Role::parse(r.as_str()) == Some(*r))
        );
    }
}
