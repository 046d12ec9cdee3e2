//! Identity bindings: the agent and conversation of a consumer user.

use af_domain::agent::{Binding, BindingSource, TelegramIdentity, conversation_of};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::refusal::{Code, Refusal};
use af_store::conversation::Commit;

use crate::agents::profiles;
use crate::{App, AppError, Result};

/// Times that a binding is decided again because another call has changed it meanwhile.
const MAX_TRIES: usize = 5;

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
    // Not from the cache, which may not know the agent's new bot yet.
    let profile = profiles::takes_messages(agent, profiles::now(app, agent).await?)?;
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
    for _ in 0..MAX_TRIES {
        let mut replaced: Vec<Binding> = app.store.binding(user, true).await?.into_iter().collect();
        if let Some(telegram) = &binding.telegram {
            replaced.extend(app.store.bindings_of_sender(telegram, true).await?);
        }
        if let Commit::Done = app.store.bind_if_unchanged(&binding, &replaced).await? {
            return Ok(binding);
        }
    }
    Err(AppError::Overtaken("binding"))
}

/// Deletes the active binding of a user. The conversation is kept. Returns 404 if there is none.
pub async fn revoke(app: &App, user: &ConsumerUserId) -> Result<()> {
    for _ in 0..MAX_TRIES {
        let binding = get(app, user).await?;
        if let Commit::Done = app.store.unbind_if_unchanged(&binding).await? {
            return Ok(());
        }
    }
    Err(AppError::Overtaken("binding"))
}
