//! Telegram: the Bot API client, and the conversion of updates to messages.
//!
//! - [`client`]: the Bot API methods, with typed errors that never contain a token.
//! - [`delivery`]: delivery of a text of any length: split, retried, and continued in a migrated chat.
//! - [`files`]: files that people send.
//! - [`markup`]: the messages of a text with markup.
//! - [`update`]: the meaning of a pushed update, as a pure function.

pub mod client;
pub mod delivery;
pub mod error;
pub mod files;
pub mod markup;
pub mod split;
pub mod update;

pub use client::{
    Bot, BotApi, BotUser, ChatAction, ParseMode, SendMessage, SentMessage, SetWebhook, WebhookInfo,
    http_client, is_token,
};
pub use delivery::{Delivered, DeliveryError, Outgoing, Pause, TokioPause, WaitLimits, deliver};
pub use error::TelegramError;
pub use files::{Downloaded, RemoteFile};
pub use markup::{Markup, TextPart, text_parts};
pub use split::split;
pub use update::{ALLOWED_UPDATES, IncomingMessage, Ingress, Origin, read};
