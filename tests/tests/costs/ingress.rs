//! The costs of an enqueue by Telegram and by the API.

use af_api::ingress_config::IngressConfig;
use af_app::intake::enqueue::{Enqueue, Identity};
use af_app::settings::ingress_config;
use af_app::telegram::ingress::Handled;
use af_domain::ids::ConversationId;

use crate::figures::{Figures, Row, at_most};
use crate::world::{BOT, World};

/// The delay of a scheduled message: no worker claims it while this test runs.
const LATER_MS: u64 = 86_400_000;

pub async fn rows(world: &World) -> Vec<Row> {
    let mut rows = telegram(world).await;
    rows.extend(api(world).await);
    rows.extend(second_tries(world).await);
    world.clear().await;
    rows
}

async fn telegram(world: &World) -> Vec<Row> {
    let (_, new_chat) = world.bound_user().await;
    let ceiling = at_most(2, 2).writes(7).reads(1.0);
    let (new, created) = world.measure(world.push(1, new_chat)).await;
    // The chats have their whole allowance: so far, only the app has written in their conversations.
    let (conversation, chat) = world.bound_user().await;
    world.enqueue(world.message(&conversation)).await;
    let group = -i128::from(chat);
    let of_group = ConversationId::parse(format!("telegram:{BOT}:{group}")).unwrap();
    world.enqueue(world.message(&of_group)).await;
    world.clear().await;
    let (newer, accepted) = world.measure(world.push(2, chat)).await;
    let (again, repeated) = world.measure(world.push(2, chat)).await;
    let (_, edited) = world.measure(world.pushed(3, "edited_message", chat, "other words")).await;
    let (_, unchanged) = world.measure(world.pushed(4, "edited_message", chat, "other words")).await;
    world.clear().await;
    let (soon, soon_after) = world.measure(world.push(5, chat)).await;
    world.clear().await;
    let (_, in_group) = world.measure(world.pushed(6, "message", group, "/hi")).await;
    let (_, not_addressed) = world.measure(world.pushed(7, "message", group, "hi")).await;
    world.clear().await;
    assert!(new && newer && !again && soon);
    vec![
        Row::new("Telegram update → enqueued, bound user", accepted, ceiling),
        Row::new("… the first of a new conversation", created, at_most(3, 3).writes(7).reads(1.0)),
        Row::new("… within seconds of the one before", soon_after, at_most(3, 3).writes(7).reads(1.0)),
        Row::new("… the same update again", repeated, ceiling),
        Row::new("… an edit of a message that waits", edited, at_most(5, 5).writes(9).reads(5.0)),
        Row::new("… an edit without a change", unchanged, at_most(4, 4).reads(5.0)),
        Row::new("… a message in a group, for the agent", in_group, at_most(2, 2).writes(7).reads(2.0)),
        Row::new(
            "… a message in a group, not for the agent",
            not_addressed,
            at_most(2, 2).writes(2).reads(2.0),
        ),
    ]
}

async fn api(world: &World) -> Vec<Row> {
    let ceiling = at_most(1, 1).writes(7);
    let conversation = world.idle_conversation().await;
    let key = Identity::Key { caller: "test".to_owned(), key: "the same".to_owned(), sent: None };
    let keyed = Enqueue { identity: key, ..world.message(&conversation) };
    let first = accept(world, keyed.clone()).await;
    let second = accept(world, world.message(&conversation)).await;
    let higher = accept(world, Enqueue { priority: Some(90), ..world.message(&conversation) }).await;
    let later = Some(world.app.now() + af_domain::time::Millis::new(LATER_MS));
    let scheduled = accept(world, Enqueue { scheduled_for: later, ..world.message(&conversation) }).await;
    let repeated = accept(world, keyed).await;
    let created = accept(world, world.message(&world.new_conversation())).await;
    let (_, owned) = world.idle_owner().await;
    let in_owned = accept(world, world.message(&owned)).await;
    vec![
        Row::new("API enqueue, the first to wait", first, ceiling),
        Row::new("… the second, same priority", second, ceiling),
        Row::new("… a higher priority than the head's", higher, ceiling),
        Row::new("… scheduled for later", scheduled, ceiling),
        Row::new("… the same Idempotency-Key again", repeated, ceiling),
        Row::new("… the first of a new conversation", created, at_most(2, 2).writes(7)),
        Row::new("… in a conversation that a worker owns", in_owned, ceiling),
    ]
}

/// Enqueues that need a second try: the priority alone does not show the position in the queue, so the first guess
/// fails.
async fn second_tries(world: &World) -> Vec<Row> {
    let ceiling = at_most(2, 2).writes(7);
    let conversation = world.idle_conversation().await;
    let later = Some(world.app.now() + af_domain::time::Millis::new(LATER_MS));
    world.enqueue(Enqueue { scheduled_for: later, ..world.message(&conversation) }).await;
    let before_later = accept(world, world.message(&conversation)).await;
    let high = Enqueue { priority: Some(90), ..world.message(&conversation) };
    world.enqueue(high.clone()).await;
    let behind_its_equal = accept(world, high).await;
    vec![
        Row::new("… due now, before a scheduled message", before_later, ceiling),
        Row::new("… a high priority behind its equal", behind_its_equal, ceiling),
    ]
}

async fn accept(world: &World, message: Enqueue) -> Figures {
    world.measure(world.enqueue(message)).await.1
}

/// The request reads the binding. The allowance and the last notice are in the memory of the function.
#[tokio::test]
async fn a_sender_that_is_rejected_again_costs_one_request_and_writes_nothing() {
    let world = World::new().await;
    let (_, chat) = world.bound_user().await;
    let limited = IngressConfig { max_per_minute: Some(1), max_burst: Some(1), ..IngressConfig::default() };
    ingress_config::set(&world.app, &limited).await.unwrap();
    assert!(world.push(1, chat).await);
    let told = world.pushed(2, "message", chat, "more").await;
    assert!(matches!(told, Handled::Rejected(_)), "{told:?}");
    let (again, over_the_limit) = world.measure(world.pushed(3, "message", chat, "more")).await;
    assert!(matches!(again, Handled::Rejected(_)), "{again:?}");
    assert!(over_the_limit.requests <= 1 && over_the_limit.write_units == 0.0, "{over_the_limit:?}");

    let bound_only = IngressConfig { require_binding: Some(true), ..IngressConfig::default() };
    ingress_config::set(&world.app, &bound_only).await.unwrap();
    world.pushed(4, "message", 77_u64, "hello").await;
    let (unbound, refused) = world.measure(world.pushed(5, "message", 77_u64, "hello")).await;
    assert!(matches!(unbound, Handled::Rejected(_)), "{unbound:?}");
    assert!(refused.requests <= 1 && refused.write_units == 0.0, "{refused:?}");
}
