//! Telegram: the Bot API client, and the conversion of updates to messages.
//!
//! - [`client`]: the Bot API methods, with typed errors that never contain a token.
//! - [`markup`]: the messages of a text of any length.
//! - [`files`]: files that people send.
//! - [`update`]: the meaning of a pushed update, as a pure function.

pub mod client;
pub mod error;
pub mod files;
pub mod markup;
pub mod pause;
pub mod polling;
pub mod split;
pub mod update;

pub use client::{
    Bot, BotApi, BotUser, ChatAction, ParseMode, SendDraft, SendMessage, SentMessage, SetWebhook,
    WebhookInfo, http_client, is_token,
};
pub use error::{TelegramError, is_markup_problem, is_topic_problem};
pub use files::{Downloaded, RemoteFile};
pub use markup::{Markup, TextPart, text_parts};
pub use pause::{Pause, TokioPause};
pub use polling::FetchedUpdate;
pub use split::split;
pub use update::{ALLOWED_UPDATES, IncomingMessage, Ingress, MANAGED_BOT, Origin, StopBy, read};
