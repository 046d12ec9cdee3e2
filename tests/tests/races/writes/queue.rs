//! Writes of messages and their queue.

use std::collections::BTreeMap;

use af_app::App;
use af_app::files::attachments::store_results;
use af_app::intake::enqueue::{Enqueue, Identity, enqueue as accept};
use af_app::worker::attach;
use af_domain::conversation::Failure;
use af_domain::ids::BotIdentity;
use af_domain::message::{HistoryEntry, Payload, Role};
use af_domain::time::Millis;
use af_store::conversation::LeaseRef;
use af_store::message::ended_payload;
use af_tests::messages::photo;

use super::{NONCE, conversation, owner, policies, running_message};
use crate::world::{RunningMessage, World, empty_completion};

pub async fn enqueue_if_absent(world: &World, app: &App, times: usize) -> Vec<String> {
    world.enqueue(&conversation(), None).await;
    let identity = Identity::Key { caller: "test".into(), key: "k".into(), sent: None };
    let message = Enqueue { identity, ..world.message(&conversation(), None) };
    send!(times, accept(app, message.clone()))
}

pub async fn claim_if_owned(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = owner(world, 2).await;
    let before = world.stored(&conversation()).await;
    let claimed = before.claim(&worker, NONCE, world.app.now(), &policies()).unwrap();
    send!(times, app.store.claim_if_owned(&before, &claimed, &policies()))
}

pub async fn claim_if_free(world: &World, app: &App, times: usize) -> Vec<String> {
    world.enqueue(&conversation(), None).await;
    let worker = world.worker("w", None).await;
    let (before, now) = (world.stored(&conversation()).await, world.app.now());
    let claimed = before.claim(&worker, NONCE, now, &policies()).unwrap();
    send!(times, app.store.claim_if_free(&before, &claimed, now, &policies()))
}

pub async fn heartbeat_if_leased(world: &World, app: &App, times: usize) -> Vec<String> {
    let running = running_message(world).await;
    world.bundle.clock.advance(Millis::from_secs(10));
    let lease_ref = lease_ref(&running);
    send!(times, app.store.heartbeat_if_leased(&lease_ref, Some("thinks"), app.now(), &policies()))
}

fn lease_ref(running: &RunningMessage) -> LeaseRef<'_> {
    LeaseRef { lease: &running.lease, message: Some(&running.message), worker: &running.worker }
}

pub async fn append_if_leased(world: &World, app: &App, times: usize) -> Vec<String> {
    let running = running_message(world).await;
    let entry = HistoryEntry { role: Role::User, content: "hello".into(), at: app.now() };
    let lease_ref = LeaseRef { message: None, ..lease_ref(&running) };
    send!(times, app.store.append_if_leased(&lease_ref, 0, std::slice::from_ref(&entry), None))
}

/// Like the use case, this call reads again before each repetition.
pub async fn attach_if_leased(world: &World, app: &App, times: usize) -> Vec<String> {
    let RunningMessage { worker, message, lease } = running_message(world).await;
    let metadata = BTreeMap::from([("model".to_owned(), "m-1".to_owned())]);
    send!(times, attach(app, &worker, &message, Some(&lease), &metadata))
}

pub async fn rewrite_if_leased(world: &World, app: &App, times: usize) -> Vec<String> {
    let running = running_message(world).await;
    let entry = HistoryEntry { role: Role::User, content: "hello".into(), at: app.now() };
    let lease_ref = lease_ref(&running);
    world
        .app
        .store
        .append_if_leased(&lease_ref, 0, &[entry.clone(), entry.clone(), entry.clone()], None)
        .await
        .unwrap();
    send!(times, app.store.rewrite_if_leased(&lease_ref, 1, 3, std::slice::from_ref(&entry)))
}

pub async fn complete_if_leased(world: &World, app: &App, times: usize) -> Vec<String> {
    let RunningMessage { worker, message, lease } = running_message(world).await;
    let (with, now, policies) = (empty_completion(), app.now(), policies());
    send!(times, app.store.complete_if_leased(&lease, &message, &worker, &with, now, &policies))
}

pub async fn fail_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let running = running_message(world).await;
    let (before, now) = (world.stored(&conversation()).await, app.now());
    let failure = Failure { error: "no".into(), retryable: true, retry_after: None };
    let back = before.fail(&running.lease, failure, 0.0, now, &policies()).unwrap();
    send!(times, app.store.fail_if_unchanged(&before, &back, false, now, &policies(), None))
}

pub async fn seen_if_owner(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = owner(world, 0).await;
    world.bundle.clock.advance(Millis::from_secs(60));
    let key = world.stored(&conversation()).await.key;
    send!(times, app.store.seen_if_owner(&key, &worker, app.now()))
}

pub async fn ask_to_switch_if_owned(world: &World, app: &App, times: usize) -> Vec<String> {
    owner(world, 0).await;
    let owned = world.stored(&conversation()).await;
    send!(times, app.store.ask_to_switch_if_owned(&owned, true))
}

pub async fn restored_if_unclaimed(world: &World, app: &App, times: usize) -> Vec<String> {
    world.enqueue(&conversation(), None).await;
    let worker = world.worker("w", Some(&conversation())).await;
    let key = world.stored(&conversation()).await.key;
    send!(times, app.store.restored_if_unclaimed(&key, &worker, app.now()))
}

/// Like the use case, this call reads the conversation again before each repetition.
pub async fn store_attachments_if_pending(world: &World, app: &App, times: usize) -> Vec<String> {
    let identity = Identity::Update { bot: BotIdentity::parse("7").unwrap(), update_id: 1 };
    let mut message = Enqueue { identity, ..world.message(&conversation(), None) };
    message.payload.attachments.push(photo());
    let id = accept(&world.app, message).await.unwrap().message;
    let stored = world.app.store.message(&id, world.app.now(), true).await.unwrap().unwrap();
    let results = [photo().failed("it is gone".into())];
    send!(times, store_results(app, &stored, &results))
}

/// Replaces the text of a message that waits.
pub async fn revise_if_waiting(world: &World, app: &App, times: usize) -> Vec<String> {
    let id = accept(&world.app, world.message(&conversation(), None)).await.unwrap().message;
    let old = world.app.store.message(&id, world.app.now(), true).await.unwrap().unwrap();
    let before = world.stored(&conversation()).await;
    let after = before.with_revised(&id, None, app.now(), &policies()).unwrap();
    let payload = Payload { message_text: "other words".into(), ..old.payload.clone() };
    send!(times, app.store.revise_if_waiting(&before, &after, &old, &payload, None, &policies()))
}

/// Expires the payload of a message of 100 KB that has ended.
pub async fn expire_payload_if_present(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = owner(world, 0).await;
    let mut message = world.message(&conversation(), None);
    message.payload.message_text = "t".repeat(100_000);
    accept(&world.app, message).await.unwrap();
    let running = world.claim(&worker, Some(&conversation())).await;
    world.complete(&running).await;
    let images = world.items().await;
    let images = images.iter().map(|item| serde_json::from_value(item.clone()).unwrap());
    let ended: Vec<_> = images.filter_map(|image| ended_payload(Some(&image)).unwrap()).collect();
    let [payload] = &ended[..] else { panic!("{ended:?}") };
    send!(times, app.store.expire_payload_if_present(payload))
}
