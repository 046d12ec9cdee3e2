//! Identity bindings: the agent and conversation of a consumer user.

use af_domain::agent::{Binding, BindingSource, TelegramIdentity, conversation_of};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::refusal::{Code, Refusal};
use af_store::conversation::Commit;

use crate::agents::profiles;
use crate::{App, AppError, Result};

/// Most characters of a Telegram id: 64 bits in decimal with a sign.
const MAX_TELEGRAM_ID_CHARS: usize = 20;

/// Returns the active binding of a user, or 404 if there is none.
pub async fn get(app: &App, user: &ConsumerUserId) -> Result<Binding> {
    let binding = app.store.binding(user, true).await?;
    Ok(binding.ok_or_else(|| Refusal::not_found(format!("active binding of user {user}")))?)
}

/// Binds a user to an agent. Replaces all bindings of this user, Telegram user and chat. Returns 404 for an unknown
/// agent, and 409 if the Telegram identity belongs to another agent's bot.
pub async fn bind(
    app: &App,
    user: &ConsumerUserId,
    agent: &AgentKey,
    telegram: Option<TelegramIdentity>,
    source: BindingSource,
) -> Result<Binding> {
    if let Some(telegram) = &telegram {
        check_id("userId", telegram.user.as_deref())?;
        check_id("chatId", telegram.chat.as_deref())?;
    }
    let profile = profiles::taking_messages(app, agent).await?;
    if let Some(telegram) = &telegram
        && profile.bot.as_ref().is_none_or(|b| b.identity != telegram.bot)
    {
        let detail = format!("bot {} is not the bot of agent {agent}", telegram.bot);
        return Err(Refusal::new(Code::BotConflict, detail).into());
    }
    let binding = Binding {
        user: user.clone(),
        agent: agent.clone(),
        conversation: conversation_of(agent, user)?,
        telegram,
        source,
        bound_at: app.now(),
    };
    let mut replaced: Vec<Binding> = app.store.binding(user, true).await?.into_iter().collect();
    if let Some(TelegramIdentity { bot, user, chat }) = &binding.telegram {
        let sender = (user.as_deref().unwrap_or_default(), chat.as_deref().unwrap_or_default());
        replaced.extend(app.store.bindings_of_sender(bot, sender.0, sender.1).await?);
    }
    match app.store.bind(&binding, &replaced).await? {
        Commit::Done => Ok(binding),
        Commit::Stale => Err(AppError::Overtaken("binding")),
    }
}

fn check_id(name: &str, id: Option<&str>) -> Result<(), Refusal> {
    let is_number = |id: &str| {
        let digits = id.strip_prefix('-').unwrap_or(id);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    match id {
        Some(id) if id.len() > MAX_TELEGRAM_ID_CHARS || !is_number(id) => Err(Refusal::field(
            format!("/telegram/{name}"),
            format!("{name} must be a numeric Telegram id, as text"),
        )),
        _ => Ok(()),
    }
}

/// Deletes the active binding of a user. The conversation is kept. Returns 404 if there is none.
pub async fn revoke(app: &App, user: &ConsumerUserId) -> Result<()> {
    let binding = get(app, user).await?;
    app.store.unbind(&binding).await?;
    Ok(())
}
