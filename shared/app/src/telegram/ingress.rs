//! Telegram ingress: converts an update to a message in the right conversation, without any call to Telegram.

use af_domain::agent::{Binding, Bot, TelegramIdentity};
use af_domain::ids::{AgentKey, BotIdentity, ConversationId, MessageId, TelegramUserId};
use af_domain::message::{Payload, TELEGRAM};
use af_domain::refusal::{Code, Refusal};
use af_telegram::update::{IncomingMessage, Ingress, read};

use crate::agents::bindings::of_sender;
use crate::intake::enqueue::{Enqueue, Identity, enqueue};
use crate::telegram::bots::is_webhook_secret;
use crate::telegram::commands::{self, Answered};
use crate::{App, AppError, Result};

/// The result of an update. Every result is answered with 200, so that Telegram does not send the update
/// again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// The update is a message that is accepted now or was accepted before.
    Enqueued {
        /// The message id.
        message: MessageId,
        /// Whether the message was accepted before.
        duplicate: bool,
    },
    /// The update is a command that the system has answered.
    Command(Answered),
    /// The update needs no action.
    Ignored {
        /// The reason, in one word.
        reason: String,
    },
}

/// Handles the update in `body`, which arrived at the webhook of `bot` with `secret` in its header.
///
/// # Errors
/// Returns the same 401 for an unknown bot and a wrong secret. After an internal error, Telegram sends the
/// update again.
pub async fn handle(app: &App, bot: &str, secret: Option<&str>, body: &[u8]) -> Result<Handled> {
    let Some(bot) = genuine_bot(app, bot, secret.unwrap_or_default()).await? else {
        tracing::warn!(metric = "webhook_rejected", "webhook call with an unknown bot or a wrong secret");
        return Err(Refusal::new(Code::Unauthorized, "unknown bot or wrong secret token").into());
    };
    let ingress = read(&bot.identity, body);
    match ingress {
        Ingress::Message(message) => accept(app, &bot, message).await,
        Ingress::Ignored { reason } => Ok(Handled::Ignored { reason: reason.to_owned() }),
        // Commands are for the system and are not sent to an agent.
        Ingress::PairingStart { code, origin } => {
            Ok(Handled::Command(commands::start_with_code(app, &bot, Some(&code), &origin).await?))
        }
        Ingress::BareStart { malformed: true, origin } => {
            Ok(Handled::Command(commands::start_with_code(app, &bot, None, &origin).await?))
        }
        Ingress::BareStart { malformed: false, origin } => {
            let ignored = Handled::Ignored { reason: "start_command".to_owned() };
            Ok(commands::start(app, &bot, &origin).await?.map_or(ignored, Handled::Command))
        }
        Ingress::Stop { .. } => Ok(Handled::Ignored { reason: "stop_command".to_owned() }),
    }
}

/// Returns the bot if `secret` is that of its webhook. A cached bot is read again before a secret is refused,
/// because the secret may have been rotated since.
async fn genuine_bot(app: &App, identity: &str, secret: &str) -> Result<Option<Bot>> {
    // An invalid bot id costs the same read as a valid one.
    let identity = BotIdentity::parse(identity).or_else(|_| BotIdentity::parse(i64::MAX.to_string()))?;
    let now = app.now();
    if let Some(known) = app.bots.get(&identity, now)
        && is_webhook_secret(Some(&known), secret, now)
    {
        return Ok(Some(known));
    }
    let bot = app.store.bot(&identity).await?;
    let genuine = is_webhook_secret(bot.as_ref(), secret, now);
    if let Some(bot) = &bot {
        app.bots.put(identity, bot.clone(), now);
    }
    Ok(bot.filter(|_| genuine))
}

async fn accept(app: &App, bot: &Bot, message: IncomingMessage) -> Result<Handled> {
    let chat = message.origin.chat_id.to_string();
    let bound = if message.origin.chat_type == "private" {
        let person = |id: i64| TelegramUserId::parse(id.to_string()).ok();
        let (user, chat) = (person(message.origin.user_id), person(message.origin.chat_id));
        let sender = TelegramIdentity { bot: bot.identity.clone(), user, chat };
        of_sender(app, bot, &sender).await?
    } else {
        // A group must never join a user's private conversation.
        None
    };
    let (agent, conversation) = target(bot, bound, &chat)?;
    let request = Enqueue {
        identity: Identity::Update { bot: bot.identity.clone(), update_id: message.origin.update_id },
        conversation,
        agent,
        payload: payload(message, chat),
        priority: None,
        scheduled_for: None,
        max_attempts: None,
    };
    match enqueue(app, request).await {
        Ok(accepted) => Ok(Handled::Enqueued { message: accepted.message, duplicate: accepted.duplicate }),
        // A repetition would be refused again, so the update is logged, counted and ignored.
        Err(AppError::Refused(refusal)) if refusal.code != Code::QueueFull => {
            tracing::warn!(metric = "webhook_ignored", code = refusal.code.as_str(), "update not accepted");
            Ok(Handled::Ignored { reason: refusal.code.as_str().to_owned() })
        }
        Err(error) => Err(error),
    }
}

fn target(bot: &Bot, bound: Option<Binding>, chat: &str) -> Result<(AgentKey, ConversationId)> {
    match bound {
        Some(binding) => Ok((binding.agent, binding.conversation)),
        None => {
            let conversation = ConversationId::parse(format!("telegram:{}:{chat}", bot.identity))?;
            Ok((bot.agent.clone(), conversation))
        }
    }
}

fn payload(message: IncomingMessage, chat: String) -> Payload {
    Payload {
        provider: TELEGRAM.to_owned(),
        provider_user_id: chat,
        message_text: message.text,
        external_message_id: Some(message.origin.message_id.to_string()),
        raw_update_json: message.raw,
        metadata: message.metadata,
        attachments: message.attachment.into_iter().collect(),
    }
}
