//! Outboxes: what waits for its delivery to Telegram.

use af_domain::outbox::{Content, Entry, Outbox};
use af_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::messages::DeliveryPart;

/// The outbox of one chat, in which something waits.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboxBody {
    /// The chat, as `<botIdentity>:<chatId>`.
    pub chat: String,
    /// Until when nothing is sent, because Telegram asked to wait or did not answer, epoch ms.
    pub waits_until: Option<u64>,
    /// Until when a part is being sent, at the latest, epoch ms.
    pub sending_until: Option<u64>,
    /// The messages, in the order in which they are sent.
    pub items: Vec<OutboxItem>,
}

/// A message in an outbox.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboxItem {
    /// The message whose reply it is; absent for a notice of the system.
    pub message_id: Option<String>,
    /// The text of a notice.
    pub notice: Option<String>,
    /// The consumer user whose chat it must be.
    pub consumer_user_id: Option<String>,
    /// When it was put there, epoch ms.
    pub queued_at: u64,
    /// The parts that were sent or tried, in order.
    pub parts: Vec<DeliveryPart>,
}

/// The reply is in the outbox again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResendAnswer {
    /// The message.
    pub message_id: String,
    /// The chat that the reply goes to, as `<botIdentity>:<chatId>`.
    pub chat: String,
}

/// The first message of an outbox is removed.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DropAnswer {
    /// The chat, as `<botIdentity>:<chatId>`.
    pub chat: String,
    /// The message whose reply was removed; absent for a notice.
    pub message_id: Option<String>,
    /// The parts that were sent or tried before, in order.
    pub parts: Vec<DeliveryPart>,
}

impl From<Outbox> for OutboxBody {
    fn from(outbox: Outbox) -> Self {
        Self {
            chat: outbox.chat.to_string(),
            waits_until: outbox.waits_until.map(Timestamp::as_millis),
            sending_until: outbox.sending.map(|sending| sending.until.as_millis()),
            items: outbox.entries.into_iter().map(OutboxItem::from).collect(),
        }
    }
}

impl From<Entry> for OutboxItem {
    fn from(entry: Entry) -> Self {
        let (message_id, notice) = match entry.content {
            Content::Reply(message) => (Some(message.to_string()), None),
            Content::Notice(text) => (None, Some(text)),
        };
        Self {
            message_id,
            notice,
            consumer_user_id: entry.user.map(|user| user.to_string()),
            queued_at: entry.queued_at.as_millis(),
            parts: entry.parts.into_iter().map(DeliveryPart::from).collect(),
        }
    }
}
