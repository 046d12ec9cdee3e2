//! Writes of operators to messages and conversations.

use af_app::App;
use af_app::worker::{Retry, fail};
use af_domain::conversation::{Entry, Priority};
use af_domain::message::Message;
use af_domain::time::Timestamp;

use super::{conversation, policies, row, running_message};
use crate::world::World;

pub async fn cancel_if_waiting(world: &World, app: &App, times: usize) -> Vec<String> {
    let message = world.enqueue(&conversation(), None).await;
    let (before, now) = (world.stored(&conversation()).await, app.now());
    let after = before.without(&message, now, &policies()).unwrap();
    send!(times, app.store.cancel_if_waiting(&before, &after, &message, now, &policies()))
}

async fn dead_letter(world: &World) -> Message {
    let running = running_message(world).await;
    fail(&world.app, &running.worker, &running.message, &running.lease, "no", Retry::Never).await.unwrap();
    world.app.store.message(&running.message, world.app.now(), true).await.unwrap().unwrap()
}

pub async fn cancel_if_dead(world: &World, app: &App, times: usize) -> Vec<String> {
    let dead = dead_letter(world).await;
    send!(times, app.store.cancel_if_dead(&dead, app.now(), &policies()))
}

pub async fn retry_if_dead(world: &World, app: &App, times: usize) -> Vec<String> {
    let dead = dead_letter(world).await;
    let (before, now, policies) = (world.stored(&conversation()).await, app.now(), policies());
    let entry = Entry {
        message: dead.id.clone(),
        priority: Priority::new(50).unwrap(),
        due: now,
        scheduled: false,
        attempts: 0,
        drained: 0,
        max_attempts: 5,
        not_before: Timestamp::default(),
        first_fence: None,
        revised: false,
    };
    let after = before.with_retried(entry.clone(), now, &policies).unwrap();
    send!(times, app.store.retry_if_dead(&before, &after, &dead, &entry, Some("call"), &policies))
}

pub async fn free_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let running = running_message(world).await;
    let (before, now, policies) = (world.stored(&conversation()).await, app.now(), policies());
    let freed = before.freed("it hangs", 0.0, now, &policies).unwrap();
    let owner = row(world, &running.worker).await;
    send!(times, app.store.free_if_unchanged(&before, &freed, Some(&owner), now, &policies))
}
