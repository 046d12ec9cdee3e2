//! Telegram: Bot API client and the mapping from updates to messages.
//!
//! - [`client`]: the Bot API methods we call, with typed errors that never carry a token.
//! - [`delivery`]: one text of any length, brought to a chat: split, retried, followed to a migrated chat.
//! - [`files`]: files that people send.
//! - [`update`]: what an update that Telegram pushed means to us, as a pure function.

pub mod client;
pub mod delivery;
pub mod error;
pub mod files;
pub mod split;
pub mod update;

pub use client::{
    Bot, BotApi, BotUser, ChatAction, ParseMode, SendMessage, SentMessage, SetWebhook, WebhookInfo,
    http_client, is_token,
};
pub use delivery::{Delivered, DeliveryError, Outgoing, Patience, Pause, TokioPause, deliver};
pub use error::TelegramError;
pub use files::{Downloaded, RemoteFile};
pub use split::split;
pub use update::{ALLOWED_UPDATES, Command, IncomingMessage, Ingress, read};
