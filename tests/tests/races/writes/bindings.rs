//! Writes of identity bindings and pairing codes.

use af_app::App;
use af_domain::agent::{Binding, BindingSource, TelegramIdentity, conversation_of};
use af_domain::ids::{AgentKey, BindingId, BotIdentity, ConsumerUserId, PairingCode, TelegramUserId};
use af_domain::pairing::{CodeUpdate, DEFAULT_TTL, Pairing, PairingUse};

use crate::world::{AGENT, World};

fn binding(world: &World) -> Binding {
    let agent = AgentKey::parse(AGENT).unwrap();
    let user = ConsumerUserId::parse("ann").unwrap();
    let person = TelegramUserId::parse("1001").unwrap();
    let bot = BotIdentity::parse("77").unwrap();
    Binding {
        id: BindingId::parse("01KE3N4AZ0000000000000000A").unwrap(),
        conversation: conversation_of(&agent, &user).unwrap(),
        user,
        agent,
        telegram: Some(TelegramIdentity { bot, user: Some(person.clone()), chat: Some(person) }),
        source: BindingSource::Api,
        bound_at: world.app.now(),
    }
}

pub async fn bind_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let binding = binding(world);
    send!(times, app.store.bind_if_unchanged(&binding, &[]))
}

pub async fn unbind_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let binding = binding(world);
    world.app.store.bind_if_unchanged(&binding, &[]).await.unwrap();
    send!(times, app.store.unbind_if_unchanged(&binding, app.now()))
}

fn pairing(world: &World, random: u64) -> Pairing {
    let Binding { user, agent, telegram, .. } = binding(world);
    let created_at = world.app.now();
    Pairing {
        code: PairingCode::of(random),
        user,
        agent,
        bot: telegram.unwrap().bot,
        created_at,
        expires_at: created_at + DEFAULT_TTL,
        used: None,
    }
}

pub async fn create_pairing_if_newest(world: &World, app: &App, times: usize) -> Vec<String> {
    let (first, second) = (pairing(world, 1), pairing(world, 2));
    world.app.store.create_pairing_if_newest(&first, None, None).await.unwrap();
    send!(times, app.store.create_pairing_if_newest(&second, Some(&first), None))
}

pub async fn pair_if_pending(world: &World, app: &App, times: usize) -> Vec<String> {
    let (pairing, binding) = (pairing(world, 1), binding(world));
    world.app.store.create_pairing_if_newest(&pairing, None, None).await.unwrap();
    let person = TelegramUserId::parse("1001").unwrap();
    let used = PairingUse { at: world.app.now(), user: person.clone(), chat: person };
    send!(times, app.store.pair_if_pending(&pairing, &used, &binding, &[], None))
}

pub async fn count_wrong_code(_: &World, app: &App, times: usize) -> Vec<String> {
    let (bot, user) = (BotIdentity::parse("77").unwrap(), TelegramUserId::parse("1001").unwrap());
    let sent = CodeUpdate { update: 7, bot, user };
    send!(times, app.store.count_wrong_code(&sent, app.now(), None))
}
