//! Messages as the users of a consumer app see them. They have neither the original update nor the file ids of Telegram.

use std::collections::BTreeMap;

use af_domain::attachment::{Attachment, AttachmentState};
use af_domain::message::{MessageView, Payload};
use af_domain::named_enum;
use af_domain::time::Timestamp;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::messages::DeliveryBody;
use crate::pages::Limit;
use crate::usage::UsageBody;

named_enum! {
    /// The state of a message.
    #[derive(Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum MessageState {
        /// It waits.
        Queued = "queued",
        /// A worker runs it.
        Processing = "processing",
        /// It is answered.
        Done = "done",
        /// Its attempts are exhausted.
        DeadLetter = "dead_letter",
        /// It was cancelled.
        Cancelled = "cancelled",
    }
}

impl MessageState {
    /// The state of a message as it is seen now.
    pub fn of(view: &MessageView) -> Self {
        Self::parse(view.status).expect("a view has one of these states")
    }

    /// Whether the message has ended.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::DeadLetter | Self::Cancelled)
    }
}

/// A message with its state as it is now. Times are epoch ms.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserMessageBody {
    /// Its id.
    pub message_id: String,
    /// The conversation it belongs to.
    pub conversation_id: String,
    /// The agent it is for.
    pub agent_key: String,
    /// Its state.
    #[schema(inline)]
    pub status: MessageState,
    /// Its priority, 0 to 100; higher runs first.
    pub priority: u8,
    /// Claims that count towards its limit, with a running one.
    pub attempts: u32,
    /// When it is due next; only while it is queued.
    pub scheduled_for: Option<u64>,
    /// When it was accepted.
    pub enqueued_at: u64,
    /// When it ended.
    pub finished_at: Option<u64>,
    /// Why its latest attempt ended without success.
    pub last_error: Option<String>,
    /// The agent's answer.
    pub reply: Option<String>,
    /// What became of the answer, if the deployment sends it to Telegram.
    pub delivery: Option<DeliveryBody>,
    /// What its newest attempts have used, at most 20 of them.
    pub usage: Option<UsageBody>,
    /// What its worker last said of its progress; only while it runs.
    pub progress: Option<String>,
    /// Whether it was cancelled while it runs; its worker learns that with its next heartbeat.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelling: bool,
    /// What it carries. Lists leave out payloads of more than 4 KB; `GET` of the message has them.
    pub payload: Option<UserPayload>,
}

/// What the message carries.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserPayload {
    /// Where it came from and where the reply goes.
    pub provider: String,
    /// Who sent it; for Telegram the chat to reply to.
    pub provider_user_id: String,
    /// The text.
    pub message_text: String,
    /// The provider's own id of it.
    pub external_message_id: Option<String>,
    /// Further facts about it.
    pub metadata: BTreeMap<String, String>,
    /// Files that came with it.
    pub attachments: Vec<UserAttachment>,
}

/// A file that came with a message.
#[serde_with::skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserAttachment {
    /// `photo`, `video`, `animation`, `video_note`, `sticker`, `audio`, `voice` or `document`.
    pub kind: String,
    /// `pending` while it is fetched, `ready`, `expired`, or `failed`.
    pub status: String,
    /// The name that its sender gave it.
    pub file_name: Option<String>,
    /// What it is, such as image/jpeg.
    pub mime_type: Option<String>,
    /// Its size.
    pub size_bytes: Option<u64>,
    /// Until when it is kept, epoch ms, once it was fetched.
    pub expires_at: Option<u64>,
    /// Why it could not be fetched.
    pub error: Option<String>,
}

/// Which messages of a conversation.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserQueueQuery {
    /// Only messages in this state. A page of ended messages may have fewer items than the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub status: Option<MessageState>,
    /// Items on the page, 1 to 200.
    #[serde(default)]
    #[param(value_type = u16, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
    /// `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// How long the answer may wait.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaitQuery {
    /// Milliseconds that the answer may wait for the end of the message, 0 to 20000.
    #[serde(default)]
    #[param(value_type = u32, minimum = 0, maximum = 20_000, default = 0)]
    pub wait_ms: WaitMs,
}

/// How long an answer may wait: 0 to 20 000 ms, by default 0. An HTTP API gives its functions 30 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WaitMs(u32);

impl WaitMs {
    /// The longest wait.
    pub const MAX: u32 = 20_000;

    /// A wait of `millis`, if that is allowed.
    pub fn new(millis: u32) -> Option<Self> {
        (millis <= Self::MAX).then_some(Self(millis))
    }

    /// The wait in milliseconds.
    pub const fn get(self) -> u64 {
        self.0 as u64
    }
}

impl<'de> Deserialize<'de> for WaitMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A query string has only text.
        let text = String::deserialize(deserializer)?;
        let wait = text.parse().ok().and_then(Self::new);
        let expected: &str = "a whole number from 0 to 20000";
        wait.ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &expected))
    }
}

impl From<MessageView> for UserMessageBody {
    fn from(view: MessageView) -> Self {
        let status = MessageState::of(&view);
        let message = view.message;
        let usage = message.usage().map(UsageBody::from);
        // A provider is never blank: a payload without one was not read.
        let payload = Some(message.payload).filter(|payload| !payload.provider.is_empty());
        Self {
            message_id: message.id.to_string(),
            conversation_id: message.conversation.to_string(),
            agent_key: message.agent.to_string(),
            status,
            priority: message.priority.get(),
            attempts: view.attempts,
            scheduled_for: view.scheduled_for.map(Timestamp::as_millis),
            enqueued_at: message.enqueued_at.as_millis(),
            finished_at: message.finished_at.map(Timestamp::as_millis),
            last_error: message.last_error,
            reply: message.reply.map(|reply| reply.text),
            delivery: message.delivery.map(DeliveryBody::from),
            usage,
            progress: view.progress,
            cancelling: view.cancelling,
            payload: payload.map(|payload| UserPayload::new(payload, view.at)),
        }
    }
}

impl UserPayload {
    fn new(payload: Payload, now: Timestamp) -> Self {
        Self {
            provider: payload.provider,
            provider_user_id: payload.provider_user_id,
            message_text: payload.message_text,
            external_message_id: payload.external_message_id,
            metadata: payload.metadata,
            attachments: payload.attachments.into_iter().map(|file| UserAttachment::new(file, now)).collect(),
        }
    }
}

impl UserAttachment {
    fn new(attachment: Attachment, now: Timestamp) -> Self {
        let status = attachment.status(now).to_owned();
        let (expires_at, error) = match attachment.state {
            AttachmentState::Pending => (None, None),
            AttachmentState::Ready { expires_at, .. } => (Some(expires_at.as_millis()), None),
            AttachmentState::Failed { reason } => (None, Some(reason)),
        };
        Self {
            kind: attachment.kind.as_str().to_owned(),
            status,
            file_name: attachment.file_name,
            mime_type: attachment.content_type.map(|t| t.to_string()),
            size_bytes: attachment.size_bytes,
            expires_at,
            error,
        }
    }
}
