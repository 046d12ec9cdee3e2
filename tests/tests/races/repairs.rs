//! Malformed states that reconcile and polls repair. A repair that is sent twice or too late does no harm.

use af_domain::conversation::{Problem, RelatedState, Repair};
use af_domain::policy::Policies;
use af_store::conversation::Commit;
use af_store::{conversation_key, keys};
use serde_json::json;

use crate::direct_writes::{PAST_THE_DELAYS, meta};
use crate::world::{World, conversation_id, outcomes};

#[tokio::test]
async fn reconcile_removes_an_owned_conversation_from_the_ready_index() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let message = world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let shard =
        keys::ready_partition(&conversation_key(&conversation), Policies::default().queue.ready_shards);
    world.set(meta(&conversation), "rp", json!({"S": shard})).await;
    world.bundle.clock.advance(PAST_THE_DELAYS);
    assert_eq!(outcomes(&world.reconcile(&world.app).await)[0], "repair done");
    assert!(!outcomes(&world.reconcile(&world.app).await).contains(&"repair done".to_owned()));
    world.assert_claimable_by(&worker, Some(&conversation), &message).await;
}

#[tokio::test]
async fn a_poll_frees_a_listed_conversation_whose_owner_has_no_row() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let message = world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let shard =
        keys::ready_partition(&conversation_key(&conversation), Policies::default().queue.ready_shards);
    world.set(meta(&conversation), "rp", json!({"S": shard})).await;
    world.delete(keys::worker(&worker)).await;
    world.assert_claimable(&message).await;
}

#[tokio::test]
async fn reconcile_corrects_a_row_that_names_a_conversation_it_does_not_own() {
    for of_another in [false, true] {
        let world = World::new().await;
        let [conversation, other] = ["talk", "other"].map(conversation_id);
        let message = world.enqueue(&conversation, None).await;
        world.enqueue(&other, None).await;
        let worker = world.worker("w", Some(&other)).await;
        let running = world.claim(&worker, Some(&other)).await;
        world.complete(&running).await;
        let owner = if of_another { Some(world.worker("owner", Some(&conversation)).await) } else { None };
        let assignment = json!({"M": {
            "cid": {"S": "talk"}, "ck": {"S": conversation_key(&conversation).to_string()},
            "ag": {"S": "demo"}, "at": {"N": "1"},
        }});
        world.set(keys::worker(&worker), "as", assignment).await;
        let done = outcomes(&world.reconcile(&world.app).await);
        let row = world.app.store.worker(&worker).await.unwrap();
        if of_another {
            assert_eq!(
                done[..3],
                ["drain done", "finish_drain done", "teardown done"],
                "the owner stays, the other worker leaves"
            );
            assert_eq!(row, None);
        } else {
            assert_eq!(done[0], "unassign done");
            assert_eq!(row.unwrap().assignment, None);
        }
        // The row of the other conversation's owner no longer names it.
        world.assert_check_repairs(&["its owner, worker w, has no row that names it"]).await;
        match owner {
            Some(owner) => world.assert_claimable_by(&owner, Some(&conversation), &message).await,
            None => world.assert_claimable_by(&worker, None, &message).await,
        }
    }
}

#[tokio::test]
async fn a_stopping_worker_that_a_conversation_names_frees_it_first() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let message = world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    world.set(keys::worker(&worker), "st", json!({"S": "stopping"})).await;
    world.set(keys::worker(&worker), "si", json!({"N": "1"})).await;
    assert_eq!(outcomes(&world.reconcile(&world.app).await)[..2], ["repair done", "unassign done"]);
    world.reconcile(&world.app).await;
    assert!(world.app.store.stopped_worker(&worker, world.app.now()).await.unwrap().is_some());
    world.assert_claimable(&message).await;
}

#[tokio::test]
async fn a_repeated_repair_is_stale_unless_it_recognises_its_own_write() {
    let world = World::new().await;
    let (store, policies) = (&world.app.store, Policies::default());
    let conversation = conversation_id("talk");
    let (lost, _) = (world.enqueue(&conversation, None).await, world.enqueue(&conversation, None).await);
    let worker = world.worker("w", Some(&conversation)).await;
    world.delete(keys::message(&lost)).await;
    world.delete(keys::worker(&worker)).await;
    let evidence = RelatedState { ended: [lost].into(), ..RelatedState::default() };
    for expected in ["messages wait", "its owner"] {
        let before = world.stored(&conversation).await;
        let problems = before.problems(&evidence, world.app.now(), &policies);
        assert!(problems[0].to_string().contains(expected), "{problems:?}");
        let repair_for = before.repair_for(&problems[0], world.app.now(), &policies);
        let mut commits = Vec::new();
        for _ in 0..2 {
            commits.push(match &repair_for {
                Repair::Forget { messages, after } => {
                    store.forget_if_ended(&before, after, messages, &policies).await.unwrap()
                }
                Repair::Free { worker, after } => {
                    store.free_if_not_assigned(&before, after, worker, &policies).await.unwrap()
                }
                other => panic!("{other:?}"),
            });
        }
        assert!(matches!(commits[..], [Commit::Done, Commit::Stale]), "{commits:?}");
    }
    let before = world.stored(&conversation).await;
    let Repair::Reindex(after) = before.repair_for(&Problem::NotIndexed, world.app.now(), &policies) else {
        panic!()
    };
    let first = store.repair_if_unchanged(&before, &after, &policies).await.unwrap();
    let second = store.repair_if_unchanged(&before, &after, &policies).await.unwrap();
    assert!(
        matches!((first, second), (Commit::Done, Commit::Done)),
        "the repeated repair finds its own keys"
    );
}

#[tokio::test]
async fn a_repair_changes_nothing_when_the_problem_no_longer_exists() {
    let world = World::new().await;
    let (store, policies) = (&world.app.store, Policies::default());
    let conversation = conversation_id("talk");
    let message = world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let before = world.stored(&conversation).await;
    let lost = RelatedState { ended: [message].into(), owner_has_row: false, in_ready_index: false };
    for problem in before.problems(&lost, world.app.now(), &policies) {
        let commit = match before.repair_for(&problem, world.app.now(), &policies) {
            Repair::Forget { messages, after } => {
                store.forget_if_ended(&before, &after, &messages, &policies).await.unwrap()
            }
            Repair::Free { worker, after } => {
                store.free_if_not_assigned(&before, &after, &worker, &policies).await.unwrap()
            }
            other => panic!("{other:?}"),
        };
        assert!(matches!(commit, Commit::Stale), "{problem}");
    }
    let row = store.unassign_if_not_owner(&worker, &before.key, world.app.now()).await.unwrap();
    assert!(matches!(row, Commit::Stale));
    assert_eq!(world.stored(&conversation).await, before);
}
