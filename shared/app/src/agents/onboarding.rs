//! Onboarding: the next step that connects a user with an agent on Telegram, and what an agent still needs.

use af_api::onboarding::{AgentReadiness, OnboardingBody};
use af_domain::agent::{AgentProfile, bot_token_ref};
use af_domain::ids::{AgentKey, ConsumerUserId, SecretRef};
use af_domain::managed_bot::BotLinkStatus;
use af_domain::onboarding::{NextAction, Progress};
use af_domain::pairing::PairingStatus;

use crate::agents::bindings::has_bot;
use crate::agents::{bridge, profiles};
use crate::pool::provider::config;
use crate::settings::message_config;
use crate::settings::message_settings::MessageConfig;
use crate::telegram::managed_bots;
use crate::{App, Result};
use af_aws::secrets::SecretStatus;

/// Returns how far the onboarding of `user` with `agent` is, and the next step. An unknown agent is a step, too.
pub async fn state(app: &App, user: &ConsumerUserId, agent: &AgentKey) -> Result<OnboardingBody> {
    let now = app.now();
    let profile = profiles::now(app, agent).await?;
    let bot = bot_state(app, agent, profile.as_ref()).await?;
    let pairing = app.store.newest_pairing(user, agent, now).await?;
    // A code for another bot than the present one cannot be used.
    let pairing = pairing.filter(|pairing| profile.as_ref().is_some_and(|p| has_bot(p, &pairing.bot)));
    let status = pairing.as_ref().map(|pairing| pairing.status(now));
    let binding = app.store.binding(user, true).await?.filter(|binding| binding.agent == *agent);
    let telegram = binding.and_then(|binding| binding.telegram);
    let paired =
        telegram.zip(profile.as_ref()).is_some_and(|(person, profile)| has_bot(profile, &person.bot));
    // A person who is connected needs no bot.
    let managed = if paired { None } else { managed_bots::find(app, user, agent).await? };
    let progress = Progress {
        agent_enabled: profile.as_ref().is_some_and(|profile| profile.enabled),
        token_imported: bot.token_imported,
        webhook_ready: bot.webhook_ready,
        paired,
        pairing: status,
        managed_bot: managed.as_ref().map(|managed| managed.status),
    };
    let next = progress.next_action();
    let name = profile.and_then(|profile| profile.bot);
    let username = name.as_ref().map(|name| name.username.clone());
    let pending = pairing.as_ref().filter(|_| status == Some(PairingStatus::Pending));
    let deep_link = pending.zip(username.as_deref()).map(|(pairing, name)| pairing.code.deep_link(name));
    Ok(OnboardingBody {
        agent_key: agent.to_string(),
        bot_identity: name.map(|name| name.identity.to_string()),
        telegram_username: username,
        token_secret_ref: bot_token_ref(agent).to_string(),
        token_imported: progress.token_imported,
        webhook_ready: progress.webhook_ready,
        pairing_code: pairing.map(|pairing| pairing.code.to_string()),
        pairing_status: status.map(|status| status.as_str().to_owned()),
        pairing_deep_link: deep_link,
        managed_bot_status: managed.as_ref().map(|managed| managed.status.as_str().to_owned()),
        managed_bot_link: managed
            .filter(|managed| managed.status == BotLinkStatus::Pending)
            .map(|managed| managed.link.address()),
        next_action: next.as_str().to_owned(),
        next_step: step(next, agent),
    })
}

/// How to do an action.
fn step(next: NextAction, agent: &AgentKey) -> String {
    match next {
        NextAction::ConfigureAgent => {
            format!("An operator configures and enables the agent with PUT /v1/agents/{agent}.")
        }
        NextAction::ImportToken => format!(
            "Import the bot's token from BotFather with PUT /v1/users/{{consumerUserId}}/agents/{agent}/telegram-token."
        ),
        NextAction::CreateBot => "The person opens managedBotLink and creates the bot.".to_owned(),
        NextAction::ConnectBot => {
            "The deployment connects the bot that the person has created. Ask again in a few seconds."
                .to_owned()
        }
        NextAction::ConfigureWebhook => "Configure the webhook with POST /v1/telegram/webhooks.".to_owned(),
        NextAction::CreatePairing => {
            format!("Create a code with POST /v1/users/{{consumerUserId}}/agents/{agent}/pairing.")
        }
        NextAction::CompletePairing => {
            "The person opens pairingDeepLink, or sends /start and the code to the bot.".to_owned()
        }
        NextAction::Ready => "The person can write to the bot.".to_owned(),
    }
}

/// What a bot has.
struct BotState {
    token_imported: bool,
    webhook_ready: bool,
}

async fn bot_state(app: &App, agent: &AgentKey, profile: Option<&AgentProfile>) -> Result<BotState> {
    let Some(name) = profile.and_then(|profile| profile.bot.as_ref()) else {
        return Ok(BotState { token_imported: false, webhook_ready: false });
    };
    let token = app.secrets.status(&[bot_token_ref(agent)]).await?;
    let bot = app.store.bot_now(&name.identity).await?;
    Ok(BotState {
        token_imported: token.iter().all(|token| token.has_active),
        webhook_ready: bot.is_some_and(|bot| bot.ready_at.is_some()),
    })
}

/// Returns what an agent has and needs so that it can answer people on Telegram. Returns 404 for an unknown agent.
pub async fn readiness(app: &App, agent: &AgentKey) -> Result<AgentReadiness> {
    let profile = profiles::get(app, agent).await?;
    let bot = bot_state(app, agent, Some(&profile)).await?;
    let secrets = app.secrets.status(&refs(&profile)).await?;
    let missing: Vec<_> = secrets.into_iter().filter(|secret| !secret.has_active).collect();
    let provider = app.store.config(config::DOCUMENT, true).await?.is_some();
    let message = message_config::show(app).await? != MessageConfig::default();
    let mut issues = Vec::new();
    let mut need = |is_there: bool, issue: String| {
        if !is_there {
            issues.push(issue);
        }
    };
    need(profile.enabled, format!("The agent is disabled. {}", step(NextAction::ConfigureAgent, agent)));
    let token = if bot.token_imported { String::new() } else { how_to_get_a_bot(app, agent).await? };
    need(bot.token_imported, token);
    need(
        bot.webhook_ready,
        format!("The webhook is not ready. {}", step(NextAction::ConfigureWebhook, agent)),
    );
    for secret in missing.iter().filter(|secret| secret.secret_ref != bot_token_ref(agent)) {
        let name = &secret.secret_ref;
        need(false, format!("Secret {name} has no value. Import it with PUT /v1/secrets/{name}."));
    }
    need(
        provider,
        "The deployment has no provider config. Set it with PUT /v1/config/provider, or start workers by hand."
            .to_owned(),
    );
    Ok(AgentReadiness {
        missing_secrets: missing.into_iter().map(|secret| secret.secret_ref.to_string()).collect(),
        has_telegram_token: bot.token_imported,
        webhook_ready: bot.webhook_ready,
        provider_config_present: provider,
        message_config_present: message,
        issues,
    })
}

/// How an agent without a bot token gets one.
async fn how_to_get_a_bot(app: &App, agent: &AgentKey) -> Result<String> {
    let import = format!("The agent has no bot token. {}", step(NextAction::ImportToken, agent));
    let managed = format!("POST /v1/users/{{consumerUserId}}/agents/{agent}/managed-bot");
    Ok(match managed_bots::manager_missing(app).await? {
        None => format!("{import} Or make a link with {managed}, with which the person creates a bot."),
        Some(missing) => format!("{import} A link for a managed bot ({managed}) is not possible: {missing}."),
    })
}

/// Returns the secrets that the profile of an agent names, each with its status. Returns 404 for an unknown agent.
pub async fn required_secrets(app: &App, agent: &AgentKey) -> Result<Vec<SecretStatus>> {
    Ok(app.secrets.status(&refs(&profiles::get(app, agent).await?)).await?)
}

/// The secrets that a profile names: its own, and those of its bridge.
fn refs(profile: &AgentProfile) -> Vec<SecretRef> {
    let mut refs = profile.secrets_ref.clone();
    for name in bridge::named_refs(profile) {
        profiles::with_ref(&mut refs, name);
    }
    refs
}
