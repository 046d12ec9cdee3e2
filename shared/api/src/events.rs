//! The events of a conversation: what has changed since a caller looked last.

use af_domain::follow::{Change, StatusChange};
use af_domain::named_enum;
use af_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::messages::DeliveryBody;
use crate::user_messages::{MessageState, WaitMs};

/// Most bytes of the replies in one answer. A function response is limited to 6 MB. Further replies are left out; `GET` of
/// the message has them.
const MAX_REPLY_BYTES: usize = 2 * 1024 * 1024;

/// Since when, and how long the answer may wait.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventsQuery {
    /// `nextCursor` of the answer before. Without it, the answer has the messages that wait or run, and does not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Milliseconds that the answer may wait for an event, 0 to 20000.
    #[serde(default)]
    #[param(value_type = u32, minimum = 0, maximum = 20_000, default = 0)]
    pub wait_ms: WaitMs,
}

/// Since when a stream begins.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamQuery {
    /// The id of the last event that was received, or `nextCursor` of a list of events. The header `Last-Event-ID` has
    /// precedence. Without both, the stream begins with the messages that wait or run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// Events in the order in which they were noticed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventList {
    /// The events; none when the wait has ended without one.
    pub items: Vec<EventBody>,
    /// The value of `after` for the next call.
    pub next_cursor: String,
}

named_enum! {
    /// What has happened.
    #[derive(Serialize, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum EventKind {
        /// A message has another status.
        Status = "status",
        /// The worker has reported progress.
        Draft = "draft",
        /// The delivery of a reply to Telegram has ended.
        Delivery = "delivery",
        /// Too much has changed: read the conversation anew.
        Resync = "resync",
    }
}

/// An event. Times are epoch ms.
#[serde_with::skip_serializing_none]
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventBody {
    /// What has happened.
    #[serde(rename = "type")]
    #[schema(inline)]
    pub kind: EventKind,
    /// When it happened, or when it was noticed.
    pub at: u64,
    /// The message; an event of the type `resync` has none.
    pub message_id: Option<String>,
    /// The new status, of the type `status`.
    #[schema(inline)]
    pub status: Option<MessageState>,
    /// Claims that count towards the limit, of the type `status`.
    pub attempts: Option<u32>,
    /// When the message is due next, while it waits for a time.
    pub scheduled_for: Option<u64>,
    /// Why the message ended without success.
    pub error: Option<String>,
    /// The agent's answer, with the status `done`.
    pub reply: Option<String>,
    /// The progress, of the type `draft`.
    pub text: Option<String>,
    /// What became of the answer, of the type `delivery`.
    pub delivery: Option<DeliveryBody>,
}

impl EventList {
    /// The events of `changes`.
    pub fn new(changes: Vec<Change>, next_cursor: String) -> Self {
        let mut bytes = 0;
        let event = |change| {
            let mut event = EventBody::from(change);
            bytes += event.reply.as_ref().map_or(0, String::len);
            if bytes > MAX_REPLY_BYTES {
                event.reply = None;
            }
            event
        };
        Self { items: changes.into_iter().map(event).collect(), next_cursor }
    }
}

impl EventBody {
    fn of(kind: EventKind, at: Timestamp) -> Self {
        Self {
            kind,
            at: at.as_millis(),
            message_id: None,
            status: None,
            attempts: None,
            scheduled_for: None,
            error: None,
            reply: None,
            text: None,
            delivery: None,
        }
    }
}

impl From<Change> for EventBody {
    fn from(change: Change) -> Self {
        match change {
            Change::Status(StatusChange { message, status, attempts, at, scheduled_for, error, reply }) => {
                Self {
                    message_id: Some(message.to_string()),
                    status: MessageState::parse(status),
                    attempts: Some(attempts),
                    scheduled_for: scheduled_for.map(Timestamp::as_millis),
                    error,
                    reply,
                    ..Self::of(EventKind::Status, at)
                }
            }
            Change::Draft { message, text, at } => Self {
                message_id: Some(message.to_string()),
                text: Some(text),
                ..Self::of(EventKind::Draft, at)
            },
            Change::Delivery { message, delivery, at } => Self {
                message_id: Some(message.to_string()),
                delivery: Some(delivery.into()),
                ..Self::of(EventKind::Delivery, at)
            },
            Change::Resync { at } => Self::of(EventKind::Resync, at),
        }
    }
}
