//! The initial data of a new deployment: its first admin key, its signing key, and a demo agent that answers.

use af_app::App;
use af_app::access::auth::{BOOTSTRAP_KEY_ID, BOOTSTRAP_KEY_REF};
use af_app::access::worker_token::SIGNING_KEY_REF;
use af_app::agents::bindings;
use af_app::agents::profiles::{self, AgentSettings};
use af_app::pool::provider;
use af_app::telegram::bots::{self, OwnWebhook};
use af_domain::agent::{BindingSource, TelegramIdentity};
use af_domain::ids::{AgentKey, ConsumerUserId, SecretRef, TelegramUserId};
use af_emulator_telegram::TelegramEmulator;
use af_providers::{FLY_TOKEN_REF, FlyConfig, Guest, LocalConfig, ProviderConfig};
use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::options::{StackOptions, WorkersOn};

/// The app of the Fly emulator in which workers run, and its organization.
pub(crate) const FLY_APP: &str = "agent-factory";
pub(crate) const FLY_ORGANIZATION: &str = "personal";
const FLY_IMAGE: &str = "registry.fly.io/agent-factory:worker";
const FLY_REGION: &str = "fra";
const AGENT: &str = "demo";
const USER: &str = "demo-user";
/// The Telegram id of the demo user. In a private chat it is also the id of the chat.
const TELEGRAM_USER: &str = "1001";

/// The demo: an agent with a bot, and a user who is bound to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Demo {
    /// The agent.
    pub agent_key: String,
    /// The user.
    pub consumer_user_id: String,
    /// The token of the agent's bot in the emulator; none of a real bot, whose token is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot_token: Option<String>,
    /// The agent's bot.
    pub bot_identity: String,
    /// The name of the bot without `@`.
    pub bot_username: String,
    /// The user's chat with the bot of the emulator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
}

/// Generates the missing secrets of a deployment and returns the first admin key.
pub(crate) async fn secrets(app: &App) -> anyhow::Result<String> {
    generated(app, SIGNING_KEY_REF).await?;
    Ok(format!("afk_{BOOTSTRAP_KEY_ID}_{}", generated(app, BOOTSTRAP_KEY_REF).await?))
}

/// The token of the Fly emulator.
pub(crate) async fn fly_token(app: &App) -> anyhow::Result<String> {
    generated(app, FLY_TOKEN_REF).await
}

/// A secret, which is generated if it is missing.
async fn generated(app: &App, name: &str) -> anyhow::Result<String> {
    let secret = SecretRef::parse(name)?;
    if let Some(value) = app.secrets.get(&secret, app.now()).await? {
        return Ok(value.expose_secret().to_owned());
    }
    let value = URL_SAFE_NO_PAD.encode(app.entropy.bytes::<32>());
    app.secrets.put(&secret, SecretString::from(value.clone()), app.now()).await?;
    Ok(value)
}

/// Configures the provider and the variables of workers.
pub(crate) async fn provider(app: &App, options: &StackOptions) -> anyhow::Result<()> {
    let env = options.worker_env.clone();
    let config = match options.workers_on {
        WorkersOn::Local => ProviderConfig::Local(LocalConfig { env, ..LocalConfig::default() }),
        WorkersOn::Fly { .. } => ProviderConfig::Fly(FlyConfig {
            app_name: Some(FLY_APP.to_owned()),
            organization_slug: Some(FLY_ORGANIZATION.to_owned()),
            image: Some(FLY_IMAGE.to_owned()),
            region: Some(FLY_REGION.to_owned()),
            volume_name: Some("data".to_owned()),
            guest: Some(Guest { cpu_kind: "shared".to_owned(), cpus: 1, memory_mb: 256 }),
            env,
            ..FlyConfig::default()
        }),
    };
    Ok(provider::configure(app, &config).await?)
}

/// Creates the demo, or finds the one of an earlier start. The webhook is set with each start, because the port may
/// differ.
pub(crate) async fn demo(app: &App, public_url: &str, telegram: &TelegramEmulator) -> anyhow::Result<Demo> {
    let (agent, user) = (demo_agent(app).await?, ConsumerUserId::parse(USER)?);
    let bot = match telegram.bots().into_iter().find(|b| b.username == "agent_factory_demo_bot") {
        Some(bot) => bot,
        None => telegram.add_bot(None, Some("agent_factory_demo_bot"))?,
    };
    // The ingress config can name the demo agent as the manager of the bots that people create.
    telegram.let_manage(bot.id)?;
    let name = bots::set_token(app, &agent, SecretString::from(bot.token.clone()), true).await?;
    let webhook = bots::configure_webhook(app, &agent, public_url).await?;
    anyhow::ensure!(webhook.is_ready, "the demo bot's webhook could not be set");
    if app.store.binding(&user, true).await?.is_none() {
        let telegram = TelegramIdentity {
            bot: name.identity.clone(),
            user: Some(TelegramUserId::parse(TELEGRAM_USER)?),
            chat: Some(TelegramUserId::parse(TELEGRAM_USER)?),
        };
        let bound = bindings::bind(app, &user, &agent, Some(telegram), BindingSource::Manual).await;
        bound.context("the demo user could not be bound")?;
    }
    Ok(Demo {
        agent_key: AGENT.to_owned(),
        consumer_user_id: USER.to_owned(),
        bot_token: Some(bot.token),
        bot_identity: name.identity.to_string(),
        bot_username: name.username,
        chat_id: Some(TELEGRAM_USER.to_owned()),
    })
}

/// Gives the demo agent a real bot. Everyone who writes to it talks with the agent; the demo user has no chat with it.
pub(crate) async fn real_demo(app: &App, token: &SecretString) -> anyhow::Result<(Demo, OwnWebhook)> {
    let agent = demo_agent(app).await?;
    let name = bots::set_token(app, &agent, token.clone(), true).await.context("the bot cannot be used")?;
    let webhook = bots::open_webhook(app, &agent).await.context("the bot cannot be used")?;
    let demo = Demo {
        agent_key: AGENT.to_owned(),
        consumer_user_id: USER.to_owned(),
        bot_token: None,
        bot_identity: name.identity.to_string(),
        bot_username: name.username,
        chat_id: None,
    };
    Ok((demo, webhook))
}

/// The demo agent, which is created if it does not exist.
async fn demo_agent(app: &App) -> anyhow::Result<AgentKey> {
    let agent = AgentKey::parse(AGENT)?;
    if app.store.agent(&agent).await?.is_none() {
        let settings = AgentSettings {
            display_name: Some("Demo".to_owned()),
            version: "1".to_owned(),
            enabled: true,
            secrets_ref: Vec::new(),
            bridge: None,
        };
        profiles::configure(app, &agent, settings).await?;
    }
    Ok(agent)
}
