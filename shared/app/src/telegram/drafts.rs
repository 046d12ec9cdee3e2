//! Drafts: a person sees that the agent is at work, before there is a reply.
//!
//! In a private chat the draft of an empty message is shown ("Thinking…") with a button that stops the agent; in a group,
//! "typing…". Both disappear by themselves. The progress that a worker reports is the next text of the draft. Drafts are a
//! courtesy: a call that fails or is slow is dropped.

use std::time::Duration;

use af_domain::agent::{Bot, bot_token_ref};
use af_domain::ids::{BotIdentity, MessageId};
use af_domain::message::MessageStatus;
use af_store::message::accepted_from_telegram;
use af_telegram::SendDraft;
use futures::StreamExt;
use sha2::{Digest, Sha256};

use crate::outbox::{Destination, destination};
use crate::queue::counters::StreamRecord;
use crate::settings::ingress_config;
use crate::{App, AppError, Result};

/// Most chats that are called at the same time.
const MAX_AT_ONCE: usize = 32;
/// How long a batch of the stream may take for all its chats.
const BUDGET: Duration = Duration::from_secs(3);
/// How long a heartbeat waits for its draft.
const PROGRESS_BUDGET: Duration = Duration::from_millis(300);

/// Shows drafts for the messages that a batch of the stream has brought from Telegram.
pub async fn show(app: &App, records: &[StreamRecord]) {
    let accepted = |record: &StreamRecord| {
        (record.event_name == "INSERT").then(|| accepted_from_telegram(record.dynamodb.new_image.as_ref()))?
    };
    let each = |id: MessageId| async move {
        show_one(app, &id, "").await.unwrap_or_else(|error| not_shown(&id, &error));
    };
    let all =
        futures::stream::iter(records.iter().filter_map(accepted)).for_each_concurrent(MAX_AT_ONCE, each);
    if tokio::time::timeout(BUDGET, all).await.is_err() {
        tracing::debug!("some drafts of a batch were not shown, because Telegram is slow");
    }
}

/// Shows the progress of a running message, unless that was done within the last second.
pub(crate) async fn show_progress(app: &App, id: &MessageId, text: &str) {
    let is_shown = || app.drafts.get(id, app.now()).is_some();
    if app.messenger.is_none() || !id.as_str().starts_with("tg:") || is_shown() {
        return;
    }
    app.drafts.put(id.clone(), (), app.now());
    match tokio::time::timeout(PROGRESS_BUDGET, show_one(app, id, text)).await {
        Ok(shown) => shown.unwrap_or_else(|error| not_shown(id, &error)),
        Err(_) => tracing::debug!(message = %id, "a draft was not shown, because Telegram is slow"),
    }
}

fn not_shown(message: &MessageId, error: &AppError) {
    let error = error as &dyn std::error::Error;
    tracing::debug!(error, %message, "a draft was not shown");
}

async fn show_one(app: &App, id: &MessageId, text: &str) -> Result<()> {
    // A warm worker may have answered already. The draft must not come after the reply.
    let Some(message) = app.store.message(id, app.now(), true).await? else { return Ok(()) };
    if message.status != MessageStatus::Queued {
        return Ok(());
    }
    let Some(Destination { chat, topic, .. }) = destination(app, &message).await? else { return Ok(()) };
    let Some(bot) = bot(app, &chat.bot).await? else { return Ok(()) };
    let rules = ingress_config::for_agent(app, &bot.agent).await?;
    if !rules.show_activity {
        return Ok(());
    }
    let Some(messenger) = app.messenger.as_deref() else { return Ok(()) };
    let Some(token) = app.secrets.get(&bot_token_ref(&bot.agent), app.now()).await? else { return Ok(()) };
    let shown = if chat.id > 0 {
        messenger.draft(&token, SendDraft { chat_id: chat.id, draft_id: draft_id(id), text }).await
    } else {
        messenger.typing(&token, chat.id, topic).await
    };
    Ok(shown?)
}

async fn bot(app: &App, identity: &BotIdentity) -> Result<Option<Bot>> {
    if let Some(known) = app.bots.get(identity, app.now()) {
        return Ok(Some(known));
    }
    let bot = app.store.bot(identity).await?;
    if let Some(bot) = &bot {
        app.bots.put(identity.clone(), bot.clone(), app.now());
    }
    Ok(bot)
}

/// The id of the draft of a message's reply: positive, and the same for each call.
pub fn draft_id(message: &MessageId) -> i64 {
    let hash = Sha256::digest(message.as_str().as_bytes());
    let bytes = [hash[0], hash[1], hash[2], hash[3]];
    i64::from(u32::from_be_bytes(bytes) >> 1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_draft_is_positive_and_stays_the_same() {
        let id = |n: u64| draft_id(&MessageId::parse(format!("tg:7:{n}")).unwrap());
        assert!((0..1_000).all(|n| (1..=i64::from(i32::MAX)).contains(&id(n))));
        assert_eq!(id(1), id(1));
        assert_ne!(id(1), id(2));
    }
}
