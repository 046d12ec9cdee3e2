//! Writes of managed bots and the links with which people create them.

use af_app::App;
use af_domain::agent::{Binding, BindingSource, conversation_of};
use af_domain::ids::{AgentKey, BindingId, BotIdentity, BotUsername, ConsumerUserId, TelegramUserId};
use af_domain::managed_bot::{BotLink, CreatedBot, ManagedBot, ManagedBotState};
use af_domain::time::Millis;

use crate::world::{AGENT, World};

fn link(world: &World, random: u64) -> BotLink {
    let (agent, now) = (AgentKey::parse(AGENT).unwrap(), world.app.now());
    BotLink {
        username: BotUsername::suggested(&agent, random),
        name: "Ann".into(),
        manager: BotIdentity::parse("7").unwrap(),
        manager_username: "factory_bot".into(),
        user: ConsumerUserId::parse("ann").unwrap(),
        agent,
        replace: false,
        public_url: "https://a.example".into(),
        created_at: now,
        expires_at: now + Millis::from_secs(600),
        bot: None,
    }
}

fn bot(world: &World, link: &BotLink) -> ManagedBot {
    let created = CreatedBot {
        identity: BotIdentity::parse("8").unwrap(),
        username: link.username.to_string(),
        creator: TelegramUserId::parse("42").unwrap(),
    };
    ManagedBot::created_with(link, &created, 1, world.app.now())
}

/// A bot that was created with a link, and that a call works on.
async fn begun(world: &World) -> ManagedBot {
    let (link, now) = (link(world, 1), world.app.now());
    let created = bot(world, &link);
    world.app.store.create_bot_link_if_newest(&link, None, None).await.unwrap();
    world.app.store.use_bot_link_if_pending(&link, &created, now).await.unwrap();
    let begun = created.worked_on_by("a", now);
    world.app.store.change_managed_bot_if_unchanged(&created, &begun, now).await.unwrap();
    begun
}

pub async fn create_bot_link_if_newest(world: &World, app: &App, times: usize) -> Vec<String> {
    let (first, second) = (link(world, 1), link(world, 2));
    world.app.store.create_bot_link_if_newest(&first, None, None).await.unwrap();
    send!(times, app.store.create_bot_link_if_newest(&second, Some(&first), None))
}

pub async fn use_bot_link_if_pending(world: &World, app: &App, times: usize) -> Vec<String> {
    let link = link(world, 1);
    world.app.store.create_bot_link_if_newest(&link, None, None).await.unwrap();
    let bot = bot(world, &link);
    send!(times, app.store.use_bot_link_if_pending(&link, &bot, app.now()))
}

pub async fn change_managed_bot_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let before = begun(world).await;
    let after = before.waiting("no", None, app.now());
    send!(times, app.store.change_managed_bot_if_unchanged(&before, &after, app.now()))
}

pub async fn connect_managed_bot_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let before = begun(world).await;
    let after = before.ended(ManagedBotState::Connected, &before, app.now());
    let binding = Binding {
        id: BindingId::parse("01HF7YAT000000000000000000").unwrap(),
        user: before.user.clone(),
        agent: before.agent.clone(),
        conversation: conversation_of(&before.agent, &before.user).unwrap(),
        telegram: None,
        source: BindingSource::ManagedBot,
        bound_at: app.now(),
    };
    send!(times, app.store.connect_managed_bot_if_unchanged(&before, &after, &binding, &[]))
}
