//! Consumer apps bind users to chats and agents, and revoke the bindings. An operator stops the agent and starts it again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use af_app::AppError;
use af_app::agents::{bindings, profiles};
use af_app::settings::ingress_config;
use af_domain::agent::{BindingSource, BotName, TelegramIdentity, bot_token_ref};
use af_domain::ids::{AgentKey, BotIdentity, TelegramUserId};
use af_domain::refusal::Code;
use af_tests::world::agent_settings;
use rand::Rng;
use secrecy::SecretString;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::costs::Operation;
use crate::instance::Instance;
use crate::tally::Event;
use crate::world::{AGENT, World};

/// The agent that users are bound to instead of `AGENT`, and the bots of both.
pub const OTHER_AGENT: &str = "other";
pub const BOT: &str = "7";
const OTHER_BOT: &str = "8";
/// The secret of the webhooks of both bots.
pub const WEBHOOK_SECRET: &str = "a webhook secret";
/// Chats of all users: fewer than users, so that each is taken over from time to time.
pub const CHATS: u64 = 3;
/// Longest pause between two changes of bindings, ms.
const MAX_PAUSE_MS: u64 = 20_000;
/// How long the agent runs and is stopped, ms.
const RUNS_MS: std::ops::Range<u64> = 20_000..120_000;
const STOPPED_MS: std::ops::Range<u64> = 5_000..100_000;
/// Pause after a call without an answer, ms.
const REPEAT_AFTER_MS: u64 = 500;

/// The bot of an agent.
pub fn bot_of(agent: &str) -> &'static str {
    if agent == AGENT { BOT } else { OTHER_BOT }
}

fn key(agent: &str) -> AgentKey {
    AgentKey::parse(agent).unwrap()
}

/// Makes the agents with their bots. `running` is the profile that a planted bug reads.
pub async fn prepare(world: &World) {
    let (app, _) = world.app(0);
    for agent in [AGENT, OTHER_AGENT, "running"] {
        profiles::configure(&app, &key(agent), agent_settings()).await.unwrap();
    }
    for agent in [AGENT, OTHER_AGENT] {
        assign_bot(&app, agent).await.unwrap();
    }
    // Only bound people may write, so every message from Telegram is in the conversation of a user.
    let rules = serde_json::from_value(json!({"requireBinding": true})).unwrap();
    ingress_config::set(&app, &rules).await.unwrap();
}

async fn assign_bot(app: &af_app::App, agent: &str) -> Result<(), AppError> {
    let identity = BotIdentity::parse(bot_of(agent)).unwrap();
    let name = BotName { identity, username: agent.to_owned() };
    app.store.assign_bot_if_unclaimed(&key(agent), &name, None, app.now()).await?;
    if let Some(bot) = app.store.bot(&name.identity).await? {
        let hash = Sha256::digest(WEBHOOK_SECRET.as_bytes()).into();
        app.store.rotate_webhook_secret(&bot, hash, app.now()).await?;
    }
    app.secrets.put(&bot_token_ref(&key(agent)), SecretString::from("7:token"), app.now()).await?;
    Ok(())
}

/// Changes the bindings of all users.
pub async fn binder(world: Arc<World>, actor: u64) {
    let mut rng = world.rng(actor);
    let mut function = Instance::new(&world, actor, Event::UserFunctionDied);
    while !world.is_in_final_phase() {
        tokio::time::sleep(Duration::from_millis(rng.random_range(1..MAX_PAUSE_MS))).await;
        let (user, _) = &world.conversations[rng.random_range(0..world.conversations.len())];
        let app = function.app();
        if rng.random_bool(0.25) {
            match function.call(Operation::Revoke, bindings::revoke(&app, user)).await {
                Some(Ok(())) => world.shared.tally.count(Event::Revoked),
                answer => check(&world, answer),
            }
            continue;
        }
        let agent = if rng.random_bool(0.2) { OTHER_AGENT } else { AGENT };
        let chat = TelegramUserId::parse(rng.random_range(1..=CHATS).to_string()).unwrap();
        let telegram = rng.random_bool(0.9).then(|| TelegramIdentity {
            bot: BotIdentity::parse(bot_of(agent)).unwrap(),
            user: rng.random_bool(0.5).then(|| chat.clone()),
            chat: Some(chat),
        });
        world.note(|| format!("{user} is to be bound to {agent} with {telegram:?}"));
        let agent = key(agent);
        let bound = bindings::bind(&app, user, &agent, telegram, BindingSource::Api);
        match function.call(Operation::Bind, bound).await {
            Some(Ok(_)) => world.shared.tally.count(Event::Bound),
            answer => check(&world, answer),
        }
    }
}

/// A binding may be missing, its agent may be stopped, and other calls may be faster. Other refusals are violations.
fn check<T>(world: &World, answer: Option<Result<T, AppError>>) {
    match answer {
        None | Some(Ok(_) | Err(AppError::Store(_) | AppError::Overtaken(_))) => {}
        // A deleted agent has no bot until it is made again.
        Some(Err(AppError::Refused(refusal)))
            if matches!(refusal.code, Code::NotFound | Code::AgentDisabled | Code::BotConflict) => {}
        Some(Err(other)) => world.add_violation(format!("a binding was refused: {other}")),
    }
}

/// Disables or deletes the agent and brings it back. It runs at the end, so that every message can end.
pub async fn stopper(world: Arc<World>, actor: u64) {
    let mut rng = world.rng(actor);
    let mut function = Instance::new(&world, actor, Event::OperatorDied);
    loop {
        tokio::time::sleep(Duration::from_millis(rng.random_range(RUNS_MS))).await;
        if world.is_in_final_phase() {
            return;
        }
        world.has_stopped_agent.store(true, Ordering::Relaxed);
        let deletes = rng.random_bool(0.3);
        world.note(|| format!("the agent is stopped, deleted: {deletes}"));
        let app = function.app();
        let stopped = async {
            if deletes {
                return profiles::delete(&app, &key(AGENT)).await;
            }
            let settings = profiles::AgentSettings { enabled: false, ..agent_settings() };
            profiles::configure(&app, &key(AGENT), settings).await.map(drop)
        };
        if let Some(Ok(())) = function.call(Operation::ConfigureAgent, stopped).await {
            world.shared.tally.count(if deletes { Event::AgentDeleted } else { Event::AgentDisabled });
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(STOPPED_MS))).await;
        loop {
            let app = function.app();
            let started = async {
                profiles::configure(&app, &key(AGENT), agent_settings()).await?;
                assign_bot(&app, AGENT).await
            };
            if let Some(Ok(())) = function.call(Operation::ConfigureAgent, started).await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(REPEAT_AFTER_MS)).await;
        }
        world.note(|| "the agent runs again".to_owned());
    }
}
