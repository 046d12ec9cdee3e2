//! Identity bindings: the agent and conversation of a consumer user.

use af_domain::agent::{
    AgentProfile, Binding, BindingSource, Bot, ListedBinding, TelegramIdentity, conversation_of,
};
use af_domain::ids::{AgentKey, BindingId, BotIdentity, ConsumerUserId};
use af_domain::refusal::{Code, Refusal};
use af_store::Page;
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
        && !has_bot(&profile, &telegram.bot)
    {
        let detail = format!("bot {} is not the bot of agent {agent}", telegram.bot);
        return Err(Refusal::new(Code::BotConflict, detail).into());
    }
    let binding = new_binding(app, user, agent, telegram, source)?;
    for _ in 0..MAX_TRIES {
        let replaced = replaced_by(app, &binding).await?;
        if let Commit::Done = app.store.bind_if_unchanged(&binding, &replaced).await? {
            return Ok(binding);
        }
    }
    Err(AppError::Overtaken("binding"))
}

/// Whether the bot of `profile` is `bot`.
pub(crate) fn has_bot(profile: &AgentProfile, bot: &BotIdentity) -> bool {
    profile.bot.as_ref().is_some_and(|name| name.identity == *bot)
}

/// Returns a binding that is not stored yet.
pub(crate) fn new_binding(
    app: &App,
    user: &ConsumerUserId,
    agent: &AgentKey,
    telegram: Option<TelegramIdentity>,
    source: BindingSource,
) -> Result<Binding> {
    let now = app.now();
    Ok(Binding {
        id: BindingId::parse(app.entropy.ulid(now))?,
        user: user.clone(),
        agent: agent.clone(),
        conversation: conversation_of(agent, user)?,
        telegram,
        source,
        bound_at: now,
    })
}

/// Returns the active bindings that `binding` replaces: those of its user, its Telegram user and its chat.
pub(crate) async fn replaced_by(app: &App, binding: &Binding) -> Result<Vec<Binding>> {
    let mut replaced: Vec<Binding> = app.store.binding(&binding.user, true).await?.into_iter().collect();
    if let Some(telegram) = &binding.telegram {
        replaced.extend(app.store.bindings_of_sender(telegram, true).await?);
    }
    Ok(replaced)
}

/// Returns the active binding of a person who writes to `bot`. A binding to another agent stays from the time when that
/// agent had the bot. It does not count, because a message must not reach the conversation of another agent.
pub(crate) async fn of_sender(app: &App, bot: &Bot, sender: &TelegramIdentity) -> Result<Option<Binding>> {
    let found = app.store.bindings_of_sender(sender, false).await?;
    Ok(found.into_iter().find(|binding| binding.agent == bot.agent))
}

/// Returns one page of the bindings of a user: the active one first, then those that were revoked or replaced, the newest
/// first.
pub async fn list(
    app: &App,
    user: &ConsumerUserId,
    limit: u32,
    after: Option<&str>,
) -> Result<Page<ListedBinding, String>> {
    Ok(app.store.bindings_of_user(user, limit, after).await?)
}

/// Returns the binding through which a message of this Telegram user or chat reaches an agent, or 404 if there is none.
pub async fn resolve(app: &App, telegram: &TelegramIdentity) -> Result<Binding> {
    if telegram.user.is_none() && telegram.chat.is_none() {
        let detail = "name a telegramUserId, a telegramChatId or both";
        return Err(Refusal::field("/telegramUserId", detail).into());
    }
    let found = app.store.bindings_of_sender(telegram, true).await?.into_iter().next();
    Ok(found.ok_or_else(|| Refusal::not_found("active binding of this Telegram user or chat"))?)
}

/// Revokes the active binding of a user, which becomes history. The conversation is kept. Returns 404 if there is none.
pub async fn revoke(app: &App, user: &ConsumerUserId) -> Result<()> {
    for _ in 0..MAX_TRIES {
        let binding = get(app, user).await?;
        if let Commit::Done = app.store.unbind_if_unchanged(&binding, app.now()).await? {
            return Ok(());
        }
    }
    Err(AppError::Overtaken("binding"))
}
