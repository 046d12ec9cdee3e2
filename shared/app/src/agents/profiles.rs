//! Agent profiles: configured, read, removed.

use af_domain::agent::{AgentProfile, bot_token_ref};
use af_domain::bridge::BridgeConfig;
use af_domain::ids::{AgentKey, SecretRef};
use af_domain::refusal::{Code, Refusal};

use crate::agents::bridge;
use crate::{App, AppError};

/// Most characters of a display name or version.
const MAX_TEXT_CHARS: usize = 200;
/// Most secrets of a profile besides its bot's token.
const MAX_SECRETS: usize = 50;

/// What an operator sets on a profile.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// What people see.
    pub display_name: Option<String>,
    /// Its version, in its author's words.
    pub version: String,
    /// Whether it takes messages.
    pub enabled: bool,
    /// Names of the secrets it uses.
    pub secrets_ref: Vec<SecretRef>,
    /// How it reaches its app's tools.
    pub bridge: Option<BridgeConfig>,
}

/// Makes or changes a profile; its bot stays. A bot's token ref is always among its secrets.
///
/// # Errors
/// A refusal that names the field at fault.
pub async fn configure(app: &App, key: &AgentKey, settings: AgentSettings) -> Result<AgentProfile, AppError> {
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

/// A profile.
///
/// # Errors
/// 404 when there is none.
pub async fn get(app: &App, key: &AgentKey) -> Result<AgentProfile, AppError> {
    Ok(app.store.agent_now(key).await?.ok_or_else(|| Refusal::not_found(format!("agent {key}")))?)
}

/// One page of profiles by key.
///
/// # Errors
/// When they cannot be read.
pub async fn list(app: &App, limit: u32, after: Option<&str>) -> Result<Vec<AgentProfile>, AppError> {
    Ok(app.store.agents(i32::try_from(limit).unwrap_or(i32::MAX), after).await?)
}

/// Removes a profile and lets go of its bot. Conversations and messages stay.
///
/// # Errors
/// 404 when there is none.
pub async fn delete(app: &App, key: &AgentKey) -> Result<(), AppError> {
    let profile = get(app, key).await?;
    app.store.delete_agent(&profile).await?;
    app.agents.forget(key);
    Ok(())
}

/// A profile as a function knows it: read at most a few seconds ago.
pub(crate) async fn known(app: &App, key: &AgentKey) -> Result<Option<AgentProfile>, AppError> {
    let now = app.now();
    if let Some(profile) = app.agents.get(key, now) {
        return Ok(profile);
    }
    let profile = app.store.agent(key).await?;
    app.agents.put(key.clone(), profile.clone(), now);
    Ok(profile)
}

/// A profile that takes messages.
///
/// # Errors
/// 404 when there is none, 409 when it is disabled.
pub(crate) async fn taking_messages(app: &App, key: &AgentKey) -> Result<AgentProfile, AppError> {
    let profile = known(app, key).await?.ok_or_else(|| Refusal::not_found(format!("agent {key}")))?;
    if !profile.enabled {
        let detail = format!("agent {key} is disabled; enable it with PUT /v1/agents/{key}");
        return Err(Refusal::new(Code::AgentDisabled, detail).into());
    }
    Ok(profile)
}
