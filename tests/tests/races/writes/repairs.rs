//! Repairs of malformed states.

use af_app::App;
use af_domain::conversation::{Failure, RelatedState, Repair};
use af_domain::policy::OnRetry;
use af_store::{conversation_key, keys};
use serde_json::json;

use super::{held, policies, talk};
use crate::world::World;

/// The policy for retries has changed since the keys were written.
pub async fn repair_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let held = held(world).await;
    let (before, now) = (world.stored(&talk()).await, app.now());
    let failure = Failure { error: "no".into(), retryable: true };
    let back = before.fail(&held.lease, failure, 0.0, now, &policies()).unwrap();
    world.app.store.fail_if_unchanged(&before, &back, false, now, &policies()).await.unwrap();
    let (mut overtake, before) = (policies(), world.stored(&talk()).await);
    overtake.queue.on_retry = OnRetry::Overtake;
    let repaired = before.with_keys_repaired(now, &overtake).unwrap();
    send!(times, app.store.repair_if_unchanged(&before, &repaired, &overtake))
}

/// The message that waits is gone.
pub async fn forget_if_ended(world: &World, app: &App, times: usize) -> Vec<String> {
    let lost = world.enqueue(&talk(), None).await;
    world.delete(keys::message(&lost)).await;
    let (before, now, policies) = (world.stored(&talk()).await, app.now(), policies());
    let evidence = RelatedState { ended: [lost].into(), ..RelatedState::default() };
    let problems = before.problems(&evidence, now, &policies);
    let Repair::Forget { messages, after } = before.repair_for(&problems[0], now, &policies) else {
        panic!("{problems:?}")
    };
    send!(times, app.store.forget_if_ended(&before, &after, &messages, &policies))
}

/// The owner's row is gone.
pub async fn free_if_not_assigned(world: &World, app: &App, times: usize) -> Vec<String> {
    world.enqueue(&talk(), None).await;
    let worker = world.worker("w", Some(&talk())).await;
    world.delete(keys::worker(&worker)).await;
    let (before, now, policies) = (world.stored(&talk()).await, app.now(), policies());
    let problems = before.problems(&RelatedState::default(), now, &policies);
    let Repair::Free { worker, after } = before.repair_for(&problems[0], now, &policies) else {
        panic!("{problems:?}")
    };
    send!(times, app.store.free_if_not_assigned(&before, &after, &worker, &policies))
}

/// A worker's row names a conversation that nobody owns.
pub async fn unassign_if_not_owner(world: &World, app: &App, times: usize) -> Vec<String> {
    world.enqueue(&talk(), None).await;
    let (worker, key) = (world.worker("w", None).await, conversation_key(&talk()));
    let assignment = json!({"M": {
        "cid": {"S": "talk"}, "ck": {"S": key.to_string()}, "ag": {"S": "demo"}, "at": {"N": "1"},
    }});
    world.set(keys::worker(&worker), "as", assignment).await;
    send!(times, app.store.unassign_if_not_owner(&worker, &key, app.now()))
}
