//! Stop: a person ends what runs and waits in the conversation of a chat.

use af_domain::agent::Bot;
use af_domain::notice::NoticeKind;
use af_domain::outbox::Chat;
use af_store::conversation_key;
use af_telegram::update::{Origin, StopBy};

use crate::outbox::{answer, notice, text_of};
use crate::settings::ingress_config;
use crate::telegram::commands::Answered;
use crate::telegram::handled::{Handled, Rejection};
use crate::telegram::route;
use crate::{App, Result, queue};

/// Cancels the messages of the chat's conversation. The person who wrote the command is answered; a press of the button
/// shows its effect itself.
pub(super) async fn stop(app: &App, bot: &Bot, origin: &Origin, by: &StopBy) -> Result<Handled> {
    if let StopBy::Command { bot: Some(named) } = by
        && !named.eq_ignore_ascii_case(&bot.username)
    {
        return Ok(Handled::ignored("not_addressed"));
    }
    let rules = ingress_config::for_agent(app, &bot.agent).await?;
    let Some(target) = route::target(app, bot, &rules, origin).await? else {
        return Ok(Handled::Rejected(Rejection::UnboundUser));
    };
    let cancelled = queue::cancel_all(app, &conversation_key(&target.conversation)).await?;
    if let StopBy::Command { .. } = by {
        let chat = Chat { bot: bot.identity.clone(), id: origin.chat_id };
        let kind = if cancelled > 0 { NoticeKind::Stopped } else { NoticeKind::NothingToStop };
        let text = text_of(app, &rules.texts, kind, &target.agent).await?;
        let stopped = text.map(|text| notice(app, chat, origin.topic, None, &text));
        answer(app, stopped.as_ref(), origin.update_id).await?;
    }
    Ok(Handled::Command(Answered::Stopped { cancelled }))
}
