//! Messages of people: enqueued, joined to the album that waits, or kept as context of a group.

use af_domain::agent::Bot;
use af_domain::attachment::AttachmentState;
use af_domain::ids::MessageId;
use af_domain::ingress::{GroupTrigger, IngressRules, LimitedSender};
use af_domain::notice::NoticeKind;
use af_domain::outbox::Chat;
use af_domain::refusal::Code;
use af_domain::time::Millis;
use af_store::conversation_key;
use af_store::group::GroupLine;
use af_telegram::update::{IncomingMessage, Origin};

use crate::intake::enqueue::{Delivered, Enqueue, Identity, deliver};
use crate::outbox::{notice, text_of};
use crate::settings::ingress_config;
use crate::telegram::handled::{Handled, Rejection};
use crate::telegram::payload::{GROUP_CONTEXT, is_of, payload};
use crate::telegram::route::{self, Target};
use crate::telegram::{albums, edits};
use crate::{App, AppError, Result};

/// The longest line of that context.
const MAX_LINE_CHARS: usize = 300;

/// The shortest time between two notices of a kind to one chat.
const UNBOUND_PAUSE: Millis = Millis::from_secs(3_600);
const RATE_LIMIT_PAUSE: Millis = Millis::from_secs(60);
/// How long Telegram may send an update again.
const FILE_PAUSE: Millis = Millis::from_days(1);

/// Handles a message or an edit.
pub(super) async fn accept(app: &App, bot: &Bot, message: IncomingMessage) -> Result<Handled> {
    let rules = ingress_config::for_agent(app, &bot.agent).await?;
    let origin = message.origin.clone();
    let Some(target) = route::target(app, bot, &rules, &origin).await? else {
        return rejected(app, bot, &rules, &origin, Rejection::UnboundUser).await;
    };
    let has_failed_file =
        message.attachment.as_ref().is_some_and(|file| matches!(file.state, AttachmentState::Failed { .. }));
    match handled(app, bot, &rules, target, message).await {
        Ok(Handled::Rejected(rejection)) => rejected(app, bot, &rules, &origin, rejection).await,
        Ok(handled @ (Handled::Enqueued { .. } | Handled::Changed { .. })) if has_failed_file => {
            file_missing(app, bot, &rules, &origin, &handled).await?;
            Ok(handled)
        }
        // A repetition would be refused again, so the update is ignored.
        Err(AppError::Refused(refusal)) if refusal.code != Code::QueueFull => {
            Ok(Handled::ignored(refusal.code.as_str()))
        }
        handled => handled,
    }
}

async fn handled(
    app: &App,
    bot: &Bot,
    rules: &IngressRules,
    target: Target,
    mut message: IncomingMessage,
) -> Result<Handled> {
    let is_addressed = message.origin.is_private()
        || rules.group_trigger == GroupTrigger::All
        || message.is_for_bot(&bot.username);
    if !message.origin.is_private() {
        // Members of a group share a conversation. The agent tells them apart by their names.
        message.text = format!("{}: {}", message.author, message.text);
    }
    if message.edited_at.is_some()
        && let Some(handled) = edits::apply(app, bot, &target, &message).await?
    {
        return Ok(handled);
    }
    if !is_addressed && message.edited_at.is_some() {
        return Ok(Handled::ignored("not_addressed"));
    }
    if !is_addressed {
        if let Some(handled) = albums::join(app, &bot.identity, &target, &message).await? {
            return Ok(handled);
        }
        let text = message.text.chars().take(MAX_LINE_CHARS).collect();
        let line = GroupLine { message: message.origin.message_id, text };
        app.store.add_line_if_new(&conversation_key(&target.conversation), &line, app.now()).await?;
        return Ok(Handled::ignored("not_addressed"));
    }
    if is_limited(app, rules, &target, &message) {
        return Ok(Handled::Rejected(Rejection::RateLimited));
    }
    enqueue(app, bot, rules, target, message).await
}

/// Whether this function knows without a request that the sender has used its allowance. An edit or another photo of an album
/// may belong to a message that was accepted.
fn is_limited(app: &App, rules: &IngressRules, target: &Target, message: &IncomingMessage) -> bool {
    let Some(sender) = app.limited.get(&target.conversation, app.now()) else { return false };
    let is_new = message.edited_at.is_none() && message.album.is_none();
    is_new && sender.is_limited(message.origin.update_id, rules.limit, app.now())
}

async fn enqueue(
    app: &App,
    bot: &Bot,
    rules: &IngressRules,
    target: Target,
    mut message: IncomingMessage,
) -> Result<Handled> {
    if !target.lines.is_empty() {
        let lines: Vec<&str> = target.lines.iter().map(|line| line.text.as_str()).collect();
        message.metadata.insert(GROUP_CONTEXT.to_owned(), lines.join("\n"));
    }
    let of_message = payload(&message);
    let request = |identity, payload| Enqueue {
        identity,
        conversation: target.conversation.clone(),
        agent: target.agent.clone(),
        payload,
        priority: None,
        scheduled_for: None,
        max_attempts: None,
    };
    let origin = &message.origin;
    let (bot, limit) = (bot.identity.clone(), Some(rules.limit));
    let mut delivered = None;
    if let Some(album) = message.album.clone().filter(|_| message.edited_at.is_none()) {
        let identity = Identity::Album { bot: bot.clone(), chat: origin.chat_id, album };
        let first = albums::first(&of_message, &message);
        match deliver(app, request(identity, first), limit).await? {
            Delivered::Known { same_body: false, .. } => {
                if let Some(handled) = albums::join(app, &bot, &target, &message).await? {
                    return Ok(handled);
                }
            }
            first => delivered = Some(first),
        }
    }
    let delivered = match delivered {
        Some(delivered) => delivered,
        None => {
            let identity = Identity::Update { bot: bot.clone(), update_id: origin.update_id };
            deliver(app, request(identity, of_message.clone()), limit).await?
        }
    };
    let delivered = match delivered {
        Delivered::Known { message: known, same_body: false }
            if is_another(app, &known, &message).await? =>
        {
            let update_id = origin.update_id;
            tracing::warn!(%bot, update_id, "an update number was used before for another message");
            let (chat, message) = (origin.chat_id, origin.message_id);
            let identity = Identity::Renumbered { bot, update_id, chat, message };
            deliver(app, request(identity, of_message.clone()), limit).await?
        }
        delivered => delivered,
    };
    match delivered {
        Delivered::New(id) => {
            clear_lines(app, &target).await?;
            Ok(Handled::Enqueued { message: id, duplicate: false })
        }
        Delivered::Known { message, .. } => Ok(Handled::Enqueued { message, duplicate: true }),
        Delivered::RateLimited { until } => {
            let sender = LimitedSender { since_update: origin.update_id, until, limit: rules.limit };
            app.limited.put(target.conversation, sender, app.now());
            Ok(Handled::Rejected(Rejection::RateLimited))
        }
    }
}

/// Removes the lines of a group that the accepted message carries.
async fn clear_lines(app: &App, target: &Target) -> Result<()> {
    if !target.lines.is_empty() {
        app.store.clear_lines_if_unchanged(&conversation_key(&target.conversation), &target.lines).await?;
    }
    Ok(())
}

/// Sends a notice that says why the message is not accepted, unless the chat got one lately.
async fn rejected(
    app: &App,
    bot: &Bot,
    rules: &IngressRules,
    origin: &Origin,
    rejection: Rejection,
) -> Result<Handled> {
    let (kind, pause) = match rejection {
        Rejection::UnboundUser => (NoticeKind::Unbound, UNBOUND_PAUSE),
        Rejection::RateLimited => (NoticeKind::RateLimit, RATE_LIMIT_PAUSE),
    };
    // A group gets no notice about its single members.
    let has_notice = origin.is_private() || rejection == Rejection::RateLimited;
    let chat = Chat { bot: bot.identity.clone(), id: origin.chat_id };
    let known = (chat.clone(), rejection.as_str());
    let has_notice = has_notice && app.notices.get(&known, app.now()).is_none();
    let text = if has_notice { text_of(app, &rules.texts, kind, &bot.agent).await? } else { None };
    if let Some(text) = text {
        let notice = notice(app, chat, origin.topic, None, &text);
        app.store.notify_if_not_lately(&notice, rejection.as_str(), pause, app.now()).await?;
        app.notices.put(known, (), app.now());
    }
    Ok(Handled::Rejected(rejection))
}

/// Sends a notice about a file that is too large to be fetched, once for each message. A repeated update writes it if the
/// first one could not.
async fn file_missing(
    app: &App,
    bot: &Bot,
    rules: &IngressRules,
    origin: &Origin,
    handled: &Handled,
) -> Result<()> {
    let (Handled::Enqueued { message, .. } | Handled::Changed { message, .. }) = handled else {
        return Ok(());
    };
    let text = text_of(app, &rules.texts, NoticeKind::MissingFile, &bot.agent).await?;
    if let Some(text) = text {
        let chat = Chat { bot: bot.identity.clone(), id: origin.chat_id };
        let notice = notice(app, chat, origin.topic, None, &text);
        let kind = format!("file of {message}");
        app.store.notify_if_not_lately(&notice, &kind, FILE_PAUSE, app.now()).await?;
    }
    Ok(())
}

/// Whether the message that was accepted under an update number is another one than `message`.
async fn is_another(app: &App, known: &MessageId, message: &IncomingMessage) -> Result<bool> {
    let Some(known) = app.store.message(known, app.now(), true).await? else { return Ok(false) };
    Ok(!is_of(&known.payload, message))
}
