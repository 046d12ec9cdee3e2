//! Agent profiles: configure, read and delete.

use af_domain::agent::{AgentProfile, bot_token_ref};
use af_domain::bridge::BridgeConfig;
use af_domain::ids::{AgentKey, SecretRef};
use af_domain::refusal::{Code, Refusal};

use crate::agents::bridge;
use crate::{App, Result};

/// Most characters of a display name or version.
const MAX_TEXT_CHARS: usize = 200;
/// Most secrets of a profile besides its bot token.
const MAX_SECRETS: usize = 50;

/// The settings of a profile that an operator sets.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// The name shown to people.
    pub display_name: Option<String>,
    /// The version, as its author writes it.
    pub version: String,
    /// Whether the agent accepts messages.
    pub enabled: bool,
    /// The names of the agent's secrets.
    pub secrets_ref: Vec<SecretRef>,
    /// The bridge to the tools of its app.
    pub bridge: Option<BridgeConfig>,
}

/// Creates or changes a profile; its bot does not change. The token secret of a bot is always among the secrets. A
/// refusal names the invalid field.
pub async fn configure(app: &App, key: &AgentKey, settings: AgentSettings) -> Result<AgentProfile> {
    let too_long = |text: &str| text.chars().count() > MAX_TEXT_CHARS;
    if settings.version.trim().is_empty() || too_long(&settings.version) {
        return Err(
            Refusal::field("/version", format!("version must be 1 to {MAX_TEXT_CHARS} characters")).into()
        );
    }
    if settings.display_name.as_deref().is_some_and(too_long) {
        let detail = format!("displayName must be at most {MAX_TEXT_CHARS} characters");
        return Err(Refusal::field("/displayName", detail).into());
    }
    let of_bot = bot_token_ref(key);
    if settings.secrets_ref.iter().filter(|name| **name != of_bot).count() > MAX_SECRETS {
        return Err(
            Refusal::field("/secretsRef", format!("secretsRef must be at most {MAX_SECRETS} names")).into()
        );
    }
    if let Some(bridge) = &settings.bridge {
        bridge::check(bridge)?;
    }
    let existing = app.store.agent_now(key).await?;
    let mut secrets_ref = settings.secrets_ref;
    if existing.as_ref().is_some_and(|a| a.bot.is_some()) {
        with_ref(&mut secrets_ref, of_bot);
    }
    let profile = AgentProfile {
        key: key.clone(),
        display_name: settings.display_name,
        version: settings.version,
        enabled: settings.enabled,
        secrets_ref,
        bot: existing.and_then(|a| a.bot),
        bridge: settings.bridge,
        updated_at: app.now(),
    };
    let stored = app.store.put_agent(&profile).await?;
    app.agents.forget(key);
    Ok(stored)
}

pub(crate) fn with_ref(refs: &mut Vec<SecretRef>, wanted: SecretRef) {
    if !refs.contains(&wanted) {
        refs.push(wanted);
    }
}

/// Returns a profile, or 404 if there is none.
pub async fn get(app: &App, key: &AgentKey) -> Result<AgentProfile> {
    Ok(app.store.agent_now(key).await?.ok_or_else(|| Refusal::not_found(format!("agent {key}")))?)
}

/// Returns one page of profiles ordered by key.
pub async fn list(app: &App, limit: u32, after: Option<&str>) -> Result<Vec<AgentProfile>> {
    Ok(app.store.agents(i32::try_from(limit).unwrap_or(i32::MAX), after).await?)
}

/// Deletes a profile and releases its bot. Conversations and messages are kept. Returns 404 if there is none.
pub async fn delete(app: &App, key: &AgentKey) -> Result<()> {
    let profile = get(app, key).await?;
    app.store.delete_agent(&profile).await?;
    app.agents.forget(key);
    Ok(())
}

/// Returns a profile from the cache, which is at most a few seconds old.
pub(crate) async fn known(app: &App, key: &AgentKey) -> Result<Option<AgentProfile>> {
    let now = app.now();
    if let Some(profile) = app.agents.get(key, now) {
        return Ok(profile);
    }
    let profile = app.store.agent(key).await?;
    app.agents.put(key.clone(), profile.clone(), now);
    Ok(profile)
}

/// Returns a profile from the cache, if the agent is enabled. Otherwise the profile is read again, because it may have been
/// made or enabled since.
pub(crate) async fn current(app: &App, key: &AgentKey) -> Result<Option<AgentProfile>> {
    match known(app, key).await? {
        Some(profile) if profile.enabled => Ok(Some(profile)),
        _ => now(app, key).await,
    }
}

/// Reads a profile as it is now, and keeps it in the cache.
pub(crate) async fn now(app: &App, key: &AgentKey) -> Result<Option<AgentProfile>> {
    let profile = app.store.agent_now(key).await?;
    app.agents.put(key.clone(), profile.clone(), app.now());
    Ok(profile)
}

/// Returns a profile that accepts messages: 404 if there is none, and 409 if it is disabled.
pub(crate) async fn taking_messages(app: &App, key: &AgentKey) -> Result<AgentProfile> {
    takes_messages(key, current(app, key).await?)
}

/// Returns `profile`, the profile of `key`, if it accepts messages.
pub(crate) fn takes_messages(key: &AgentKey, profile: Option<AgentProfile>) -> Result<AgentProfile> {
    let profile = profile.ok_or_else(|| Refusal::not_found(format!("agent {key}")))?;
    if !profile.enabled {
        let detail = format!("agent {key} is disabled; enable it with PUT /v1/agents/{key}");
        return Err(Refusal::new(Code::AgentDisabled, detail).into());
    }
    Ok(profile)
}
