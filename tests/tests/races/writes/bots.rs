//! Writes of an agent's bot and its webhook.

use af_app::App;
use af_domain::agent::BotName;
use af_domain::ids::{AgentKey, BotIdentity};

use crate::world::{AGENT, World};

fn bot() -> BotName {
    BotName { identity: BotIdentity::parse("77").unwrap(), username: "demo_bot".into() }
}

async fn assigned_bot(world: &World) -> AgentKey {
    let agent = AgentKey::parse(AGENT).unwrap();
    world.app.store.assign_bot_if_unclaimed(&agent, &bot(), None, world.app.now()).await.unwrap();
    agent
}

pub async fn assign_bot_if_unclaimed(_: &World, app: &App, times: usize) -> Vec<String> {
    let agent = AgentKey::parse(AGENT).unwrap();
    send!(times, app.store.assign_bot_if_unclaimed(&agent, &bot(), None, app.now()))
}

pub async fn rotate_webhook_secret(world: &World, app: &App, times: usize) -> Vec<String> {
    assigned_bot(world).await;
    let bot = world.app.store.bot(&bot().identity).await.unwrap().unwrap();
    send!(times, app.store.rotate_webhook_secret(&bot, [1; 32], app.now()))
}

pub async fn webhook_ready(world: &World, app: &App, times: usize) -> Vec<String> {
    assigned_bot(world).await;
    send!(times, app.store.webhook_ready(&bot().identity, Some(app.now())))
}
