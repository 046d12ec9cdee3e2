//! Repairs of malformed states.

use af_app::App;
use af_domain::conversation::{Failure, RelatedState, Repair};
use af_domain::policy::OnRetry;
use af_store::{conversation_key, keys};
use serde_json::json;

use super::{conversation, policies, running_message};
use crate::world::World;

/// Repairs keys after a change of the policy for retries.
pub async fn repair_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let running = running_message(world).await;
    let (before, now) = (world.stored(&conversation()).await, app.now());
    let failure = Failure { error: "no".into(), retryable: true, retry_after: None };
    let back = before.fail(&running.lease, failure, 0.0, now, &policies()).unwrap();
    world.app.store.fail_if_unchanged(&before, &back, false, now, &policies(), None).await.unwrap();
    let (mut overtake, before) = (policies(), world.stored(&conversation()).await);
    overtake.queue.on_retry = OnRetry::Overtake;
    let repaired = before.with_keys_repaired(now, &overtake).unwrap();
    send!(times, app.store.repair_if_unchanged(&before, &repaired, &overtake))
}

/// Removes a queue entry whose message does not exist.
pub async fn forget_if_ended(world: &World, app: &App, times: usize) -> Vec<String> {
    let lost = world.enqueue(&conversation(), None).await;
    world.delete(keys::message(&lost)).await;
    let (before, now, policies) = (world.stored(&conversation()).await, app.now(), policies());
    let evidence = RelatedState { ended: [lost].into(), ..RelatedState::default() };
    let problems = before.problems(&evidence, now, &policies);
    let Repair::Forget { messages, after } = before.repair_for(&problems[0], now, &policies) else {
        panic!("{problems:?}")
    };
    send!(times, app.store.forget_if_ended(&before, &after, &messages, &policies))
}

/// Frees a conversation whose owner has no row.
pub async fn free_if_not_assigned(world: &World, app: &App, times: usize) -> Vec<String> {
    world.enqueue(&conversation(), None).await;
    let worker = world.worker("w", Some(&conversation())).await;
    world.delete(keys::worker(&worker)).await;
    let (before, now, policies) = (world.stored(&conversation()).await, app.now(), policies());
    let problems = before.problems(&RelatedState::default(), now, &policies);
    let Repair::Free { worker, after } = before.repair_for(&problems[0], now, &policies) else {
        panic!("{problems:?}")
    };
    send!(times, app.store.free_if_not_assigned(&before, &after, &worker, &policies))
}

/// Corrects a worker's row that names a conversation without an owner.
pub async fn unassign_if_not_owner(world: &World, app: &App, times: usize) -> Vec<String> {
    world.enqueue(&conversation(), None).await;
    let (worker, key) = (world.worker("w", None).await, conversation_key(&conversation()));
    let assignment = json!({"M": {
        "cid": {"S": "talk"}, "ck": {"S": key.to_string()}, "ag": {"S": "demo"}, "at": {"N": "1"},
    }});
    world.set(keys::worker(&worker), "as", assignment).await;
    send!(times, app.store.unassign_if_not_owner(&worker, &key, app.now()))
}
