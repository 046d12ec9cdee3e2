//! Telegram ingress: from an update to a message in the right conversation. No calls to Telegram on this path.

use std::collections::BTreeMap;

use af_domain::agent::{Binding, Bot};
use af_domain::ids::{AgentKey, BotIdentity, ConversationId, MessageId};
use af_domain::message::Payload;
use af_domain::refusal::{Code, Refusal};
use af_telegram::update::{IncomingMessage, Ingress, read};

use crate::intake::enqueue::{Enqueue, Identity, enqueue};
use crate::telegram::bots::is_webhook_secret;
use crate::{App, AppError};

/// What became of an update. Everything but `Refused` is a 200: Telegram must not send it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// It is a message, accepted now or before.
    Enqueued {
        /// Its id.
        message: MessageId,
        /// Whether it was accepted before.
        duplicate: bool,
    },
    /// Nothing to do.
    Ignored {
        /// Why, in one word.
        reason: String,
    },
}

/// Handles the update in `body`, which came to the webhook of `bot` with `secret` in its header.
///
/// # Errors
/// 401 for an unknown bot or a wrong secret, always the same; a failure of ours, so that Telegram sends it again.
pub async fn handle(app: &App, bot: &str, secret: Option<&str>, body: &[u8]) -> Result<Handled, AppError> {
    let Some(bot) = genuine_bot(app, bot, secret.unwrap_or_default()).await? else {
        tracing::warn!(metric = "webhook_rejected", "webhook call with an unknown bot or a wrong secret");
        return Err(Refusal::new(Code::Unauthorized, "unknown bot or wrong secret token").into());
    };
    let ingress = read(&bot.identity, body);
    match ingress {
        Ingress::Message(message) => accept(app, &bot, message).await,
        Ingress::Ignored { reason } => Ok(Handled::Ignored { reason: reason.to_owned() }),
        // Commands are for the system and never reach an agent.
        Ingress::PairingStart { .. } | Ingress::BareStart { .. } => {
            Ok(Handled::Ignored { reason: "start_command".to_owned() })
        }
        Ingress::Stop { .. } => Ok(Handled::Ignored { reason: "stop_command".to_owned() }),
    }
}

/// The bot, when `secret` is that of its webhook. A bot that was read a moment ago is read again before a secret
/// is refused: it may have been rotated since.
async fn genuine_bot(app: &App, identity: &str, secret: &str) -> Result<Option<Bot>, AppError> {
    // A name that cannot be a bot's costs the same read as one that can.
    let identity = BotIdentity::parse(identity).or_else(|_| BotIdentity::parse("0"))?;
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

async fn accept(app: &App, bot: &Bot, message: IncomingMessage) -> Result<Handled, AppError> {
    let chat = message.chat_id.to_string();
    let bound = if message.chat_type == "private" {
        let user = message.user_id.to_string();
        app.store.bindings_of_sender(&bot.identity, &user, &chat).await?.into_iter().next()
    } else {
        // A group never enters somebody's private conversation.
        None
    };
    let (agent, conversation) = target(bot, bound, &chat)?;
    let request = Enqueue {
        identity: Identity::Update { bot: bot.identity.clone(), update_id: message.update_id },
        conversation,
        agent,
        payload: payload(message, chat),
        priority: None,
        scheduled_for: None,
        max_attempts: None,
    };
    match enqueue(app, request).await {
        Ok(accepted) => Ok(Handled::Enqueued { message: accepted.message, duplicate: accepted.duplicate }),
        // Sending it again would not help: said once, counted, and done with.
        Err(AppError::Refused(refusal)) if refusal.code != Code::QueueFull => {
            tracing::warn!(metric = "webhook_ignored", code = refusal.code.as_str(), "update not accepted");
            Ok(Handled::Ignored { reason: refusal.code.as_str().to_owned() })
        }
        Err(error) => Err(error),
    }
}

fn target(bot: &Bot, bound: Option<Binding>, chat: &str) -> Result<(AgentKey, ConversationId), AppError> {
    match bound {
        Some(binding) => Ok((binding.agent, binding.conversation)),
        None => {
            let conversation = ConversationId::parse(format!("telegram:{}:{chat}", bot.identity))?;
            Ok((bot.agent.clone(), conversation))
        }
    }
}

fn payload(message: IncomingMessage, chat: String) -> Payload {
    let metadata: BTreeMap<String, String> = message.metadata;
    Payload {
        provider: "telegram".to_owned(),
        provider_user_id: chat,
        message_text: message.text,
        external_message_id: Some(message.message_id.to_string()),
        raw_update_json: Some(message.raw),
        metadata,
        attachments: message.attachment.into_iter().collect(),
    }
}
