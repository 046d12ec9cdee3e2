//! Writes of identity bindings.

use af_app::App;
use af_domain::agent::{Binding, BindingSource, TelegramIdentity, conversation_of};
use af_domain::ids::{AgentKey, BotIdentity, ConsumerUserId, TelegramUserId};

use crate::world::{AGENT, World};

fn binding(world: &World) -> Binding {
    let agent = AgentKey::parse(AGENT).unwrap();
    let user = ConsumerUserId::parse("ann").unwrap();
    let person = TelegramUserId::parse("1001").unwrap();
    let bot = BotIdentity::parse("77").unwrap();
    Binding {
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
    send!(times, app.store.unbind_if_unchanged(&binding))
}
