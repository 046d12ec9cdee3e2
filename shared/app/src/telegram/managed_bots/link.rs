//! Makes a link with which a person creates a bot.

use af_domain::ids::{AgentKey, BotUsername, ConsumerUserId};
use af_domain::managed_bot::{BotLink, MAX_NAME_CHARS};
use af_domain::pairing::{DEFAULT_TTL, MAX_TTL, MIN_TTL};
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Millis;
use af_store::conversation::Commit;
use af_store::idempotency::IdempotentCall;

use super::manager::manager;
use crate::agents::profiles;
use crate::intake::idempotency;
use crate::{App, AppError, Result};

/// Times that a link is made again because another call has made one for the same user and agent meanwhile.
const MAX_TRIES: usize = 5;

/// The properties of a link that a caller may choose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkRequest {
    /// The display name that the link suggests; by default that of the agent.
    pub name: Option<String>,
    /// How long the link can be used.
    pub ttl: Option<Millis>,
    /// Whether the bot may replace the bot that the agent has.
    pub replace: bool,
}

impl LinkRequest {
    /// The display name that is suggested for a bot of the agent with this name.
    fn name_for(&self, agent: &str) -> Result<String, Refusal> {
        let chosen = self.name.as_deref().map(str::trim);
        let is_valid = |name: &str| {
            (1..=MAX_NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control)
        };
        match chosen {
            Some(name) if is_valid(name) => Ok(name.to_owned()),
            Some(_) => {
                let detail = format!("name must be 1 to {MAX_NAME_CHARS} printable characters");
                Err(Refusal::field("/name", detail))
            }
            None => Ok(agent.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect()),
        }
    }

    fn ttl(&self) -> Result<Millis, Refusal> {
        let ttl = self.ttl.unwrap_or(DEFAULT_TTL);
        if !(MIN_TTL..=MAX_TTL).contains(&ttl) {
            let (min, max) = (MIN_TTL.as_millis(), MAX_TTL.as_millis());
            return Err(Refusal::field(
                "/ttlMs",
                format!("ttlMs must be a whole number from {min} to {max}"),
            ));
        }
        Ok(ttl)
    }
}

/// Makes a link with which a person creates a bot for `agent` and is bound to `user`. The link before expires. With `once`, a
/// repetition of the same call returns the same link.
///
/// # Errors
/// Returns 404 for an unknown agent, 409 if the agent is disabled, has a bot that must not be replaced, or no manager bot is
/// ready, 422 for an invalid name or validity, and 503 if Telegram cannot be reached.
pub async fn create(
    app: &App,
    user: &ConsumerUserId,
    agent: &AgentKey,
    request: &LinkRequest,
    public_url: &str,
    once: Option<&IdempotentCall>,
) -> Result<BotLink> {
    let ttl = request.ttl()?;
    // The conversation id of the binding consists of both names, and the length of that id is limited.
    af_domain::agent::conversation_of(agent, user)?;
    let profile = profiles::takes_messages(agent, profiles::now(app, agent).await?)?;
    let name = request.name_for(profile.display_name.as_deref().unwrap_or(agent.as_str()))?;
    if let Some(made) = idempotency::find_record(app, once).await? {
        return made_before(app, &made.id).await;
    }
    if let Some(bot) = profile.bot.as_ref().filter(|_| !request.replace) {
        let detail = format!(
            "agent {agent} has the bot @{}; send replace: true to put a new one in its place",
            bot.username
        );
        return Err(Refusal::new(Code::BotConflict, detail).into());
    }
    let manager = manager(app).await?;
    if manager.agent == *agent {
        let detail = format!("agent {agent} has the manager bot, which a managed bot must not replace");
        return Err(Refusal::new(Code::BotConflict, detail).into());
    }
    manager.check(app).await?;
    for _ in 0..MAX_TRIES {
        let now = app.now();
        if let Some(made) = idempotency::find_record(app, once).await? {
            return made_before(app, &made.id).await;
        }
        let previous = app.store.newest_bot_link(user, agent, now).await?;
        let link = BotLink {
            username: BotUsername::suggested(agent, app.entropy.next_u64()),
            name: name.clone(),
            manager: manager.name.identity.clone(),
            manager_username: manager.name.username.clone(),
            user: user.clone(),
            agent: agent.clone(),
            replace: request.replace,
            public_url: public_url.to_owned(),
            created_at: now,
            expires_at: now + ttl,
            bot: None,
        };
        if let Commit::Done = app.store.create_bot_link_if_newest(&link, previous.as_ref(), once).await? {
            return Ok(link);
        }
    }
    Err(AppError::Overtaken("making a link for a bot"))
}

async fn made_before(app: &App, username: &str) -> Result<BotLink> {
    let made = app.store.bot_link(&BotUsername::parse(username)?, app.now()).await?;
    Ok(made.ok_or_else(|| Refusal::not_found("link of this call any more"))?)
}
