//! A message: its payload, its state and its result.
//!
//! The stored states are `queued`, `done`, `dead_letter` and `cancelled`. `processing` is derived: a queued
//! message is processing while the lease of its conversation names it (invariant 2).

use std::collections::BTreeMap;

use crate::attachment::Attachment;
use crate::attempt::Attempt;
use crate::conversation::Priority;
use crate::ids::{AgentKey, BotIdentity, ConversationId, ConversationKey, Fence, MessageId, WorkerId};
use crate::named_enum;
use crate::outbox::Delivery;
use crate::time::Timestamp;
use crate::usage::Usage;

/// Largest payload of a message in bytes, as JSON.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// The provider of a message that came from Telegram, or whose reply goes to a Telegram chat.
pub const TELEGRAM: &str = "telegram";
/// The provider of a message whose reply is only stored, for the consumer app to read.
pub const SYSTEM_PUSH: &str = "system_push";

/// The metadata field with the sender, which every payload has.
pub const PROVIDER_USER: &str = "providerUserId";
/// The metadata field that only messages of push jobs and broadcasts have: `scheduled`, `manual` or `broadcast`.
pub const PUSH_MODE: &str = "pushMode";
/// The metadata field with the ids of the Telegram messages that are one album, separated by commas.
pub const ALBUM_METADATA: &str = "telegramAlbumMessageIds";

/// The content of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// The origin of the message: `telegram`, `system_push`, or a value chosen by the caller. In the conversation
    /// of a consumer user, the target of the reply is resolved when the message is claimed.
    pub provider: String,
    /// The sender, in the provider's terms. For Telegram it is the chat.
    pub provider_user_id: String,
    /// The text.
    pub message_text: String,
    /// The provider's id of the message.
    pub external_message_id: Option<String>,
    /// The original update of the provider, as JSON.
    pub raw_update_json: Option<String>,
    /// Further data. It always contains `providerUserId`.
    pub metadata: BTreeMap<String, String>,
    /// The files sent with the message.
    pub attachments: Vec<Attachment>,
}

named_enum! {
    /// The stored state of a message.
    pub enum MessageStatus {
        /// The message waits or runs.
        Queued = "queued",
        /// A worker completed it.
        Done = "done",
        /// The attempts are exhausted, or the failure was not retryable.
        DeadLetter = "dead_letter",
        /// The sender or an operator cancelled the message.
        Cancelled = "cancelled",
    }
}

/// A message, as stored in its item.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The message id.
    pub id: MessageId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The partition of the conversation.
    pub key: ConversationKey,
    /// The agent that receives the message.
    pub agent: AgentKey,
    /// The stored state.
    pub status: MessageStatus,
    /// The priority.
    pub priority: Priority,
    /// The original due time.
    pub due: Timestamp,
    /// When the message was accepted.
    pub enqueued_at: Timestamp,
    /// The content.
    pub payload: Payload,
    /// The number of claims, as last written. A running attempt is counted when it ends.
    pub attempts: u32,
    /// Why the latest attempt ended without success.
    pub last_error: Option<String>,
    /// The reply of the agent.
    pub reply: Option<Reply>,
    /// What became of the reply, if this system delivers it.
    pub delivery: Option<Delivery>,
    /// When the message ended.
    pub finished_at: Option<Timestamp>,
    /// The fence of the lease that ended the message.
    pub fence: Option<Fence>,
    /// The number of claims a dead letter may have. Its queue entry, which contains the number, is gone.
    pub max_attempts: Option<u32>,
    /// The fence of the first claim of a dead letter, from its queue entry.
    pub first_fence: Option<Fence>,
    /// The newest attempts that have ended, the oldest first.
    pub attempt_log: Vec<Attempt>,
    /// The idempotency token of the call that queued a dead letter again.
    pub retried_by: Option<String>,
    /// When that call queued it again.
    pub retried_at: Option<Timestamp>,
    /// The bot that must fetch the attachments, while some are pending.
    pub fetched_by: Option<BotIdentity>,
    /// The hash of the call's body, which distinguishes a repetition from another message.
    pub body_hash: String,
}

impl Message {
    /// What the newest attempts have used together; `None` if no worker has reported any usage.
    pub fn usage(&self) -> Option<Usage> {
        Usage::sum(self.attempt_log.iter().filter_map(|attempt| attempt.usage.as_ref()))
    }
}

named_enum! {
    /// The markup of a reply.
    pub enum ReplyFormat {
        /// Plain text.
        Plain = "plain",
        /// Telegram's HTML.
        Html = "html",
        /// Markdown, as models write it.
        Markdown = "markdown",
    }
}

/// The reply of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The text.
    pub text: String,
    /// The markup of the text.
    pub format: ReplyFormat,
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

named_enum! {
    /// The author of a history entry.
    pub enum Role {
        /// The person.
        User = "user",
        /// The agent.
        Assistant = "assistant",
        /// An instruction.
        System = "system",
        /// A tool's result.
        Tool = "tool",
    }
}

/// One entry of the history of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The author.
    pub role: Role,
    /// The text.
    pub content: String,
    /// When the entry was written.
    pub at: Timestamp,
}

/// A tool call of the agent that has no result yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingToolCall {
    /// The name of the tool.
    pub tool_name: String,
    /// The id of the call.
    pub call_id: String,
    /// The status of the call, as the agent reports it.
    pub status: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_and_role_survives_being_stored() {
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
