//! A message is claimed while its content changes, for example by an edit in Telegram.

use af_app::App;
use af_domain::ids::MessageId;
use af_domain::message::Payload;
use af_domain::policy::Policies;
use af_store::conversation::Commit;

use crate::replica::Replica;
use crate::world::{World, conversation_id};

async fn revise(world: &World, app: &App, message: &MessageId) -> Commit {
    let old = world.app.store.message(message, app.now(), true).await.unwrap().unwrap();
    let (before, policies) = (world.stored(&conversation_id("talk")).await, Policies::default());
    let after = before.with_revised(message, None, app.now(), &policies).unwrap();
    let payload = Payload { message_text: "new".into(), ..old.payload.clone() };
    app.store.revise_if_waiting(&before, &after, &old, &payload, None, &policies).await.unwrap()
}

#[tokio::test]
async fn a_claim_that_was_decided_before_an_edit_is_stale_and_the_next_one_gets_the_new_text() {
    let world = World::new().await;
    let (conversation, policies) = (conversation_id("talk"), Policies::default());
    let message = world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let seen = world.stored(&conversation).await;
    let claimed = seen.claim(&worker, 7, world.app.now(), &policies).unwrap();
    assert!(matches!(revise(&world, &world.app, &message).await, Commit::Done));
    let commit = world.app.store.claim_if_owned(&seen, &claimed, &policies).await.unwrap();
    assert!(matches!(commit, Commit::Stale), "the edit was faster");
    let job = world.poll(&world.app, &worker, Some(&conversation)).await.job.unwrap();
    assert_eq!(job.payload.message_text, "new");
}

#[tokio::test]
async fn an_edit_that_was_decided_before_a_claim_is_stale() {
    let world = World::new().await;
    let (conversation, policies) = (conversation_id("talk"), Policies::default());
    let message = world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let (seen, now) = (world.stored(&conversation).await, world.app.now());
    let old = world.app.store.message(&message, now, true).await.unwrap().unwrap();
    let after = seen.with_revised(&message, None, now, &policies).unwrap();
    world.claim(&worker, Some(&conversation)).await;
    let payload = Payload { message_text: "new".into(), ..old.payload.clone() };
    let commit = world.app.store.revise_if_waiting(&seen, &after, &old, &payload, None, &policies).await;
    assert!(matches!(commit.unwrap(), Commit::Stale), "the claim was faster");
    let stored = world.app.store.message(&message, now, true).await.unwrap().unwrap();
    assert_eq!(stored.payload.message_text, old.payload.message_text);
}

#[tokio::test]
async fn a_claim_gets_the_new_text_although_its_replica_has_the_old_one() {
    let world = World::new().await;
    let (replica, conversation) = (Replica::new(), conversation_id("talk"));
    let behind = world.with_faults(replica.clone());
    let message = world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    behind.store.message(&message, world.app.now(), false).await.unwrap().unwrap();
    replica.fall_behind();
    assert!(matches!(revise(&world, &world.app, &message).await, Commit::Done));
    let stale = behind.store.message(&message, world.app.now(), false).await.unwrap().unwrap();
    assert_ne!(stale.payload.message_text, "new", "the replica is behind");
    let job = world.poll(&behind, &worker, Some(&conversation)).await.job.unwrap();
    assert_eq!(job.payload.message_text, "new");
}
