//! Malformed states that reconcile and polls come by and repair; and that a repair is safe to be sent twice, or too late.

use af_domain::conversation::{Problem, RelatedState, Repair};
use af_domain::policy::Policies;
use af_store::conversation::Commit;
use af_store::{conversation_key, keys};
use serde_json::json;

use crate::meddling::{A_WHILE, meta};
use crate::world::{World, conversation, outcomes};

#[tokio::test]
async fn a_conversation_that_is_listed_although_it_is_owned_is_taken_off_the_list_by_reconcile() {
    let world = World::new().await;
    let talk = conversation("talk");
    let message = world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    let shard = keys::ready_partition(&conversation_key(&talk), Policies::default().queue.ready_shards);
    world.set(meta(&talk), "rp", json!({"S": shard})).await;
    world.bundle.clock.advance(A_WHILE);
    assert_eq!(outcomes(&world.reconcile(&world.app).await)[0], "repair done");
    assert!(!outcomes(&world.reconcile(&world.app).await).contains(&"repair done".to_owned()));
    world.finished_by(&worker, Some(&talk), &message).await;
}

#[tokio::test]
async fn a_conversation_that_is_listed_under_an_owner_without_a_row_is_freed_by_who_polls() {
    let world = World::new().await;
    let talk = conversation("talk");
    let message = world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    let shard = keys::ready_partition(&conversation_key(&talk), Policies::default().queue.ready_shards);
    world.set(meta(&talk), "rp", json!({"S": shard})).await;
    world.delete(keys::worker(&worker)).await;
    world.finished(&message).await;
}

#[tokio::test]
async fn a_row_that_names_a_conversation_of_another_or_of_nobody_is_corrected_by_reconcile() {
    for of_another in [false, true] {
        let world = World::new().await;
        let [talk, other] = ["talk", "other"].map(conversation);
        let message = world.enqueue(&talk, None).await;
        world.enqueue(&other, None).await;
        let worker = world.worker("w", Some(&other)).await;
        let held = world.claim(&worker, Some(&other)).await;
        world.complete(&held).await;
        let owner = if of_another { Some(world.worker("owner", Some(&talk)).await) } else { None };
        let assignment = json!({"M": {
            "cid": {"S": "talk"}, "ck": {"S": conversation_key(&talk).to_string()},
            "ag": {"S": "demo"}, "at": {"N": "1"},
        }});
        world.set(keys::worker(&worker), "as", assignment).await;
        let done = outcomes(&world.reconcile(&world.app).await);
        let row = world.app.store.worker(&worker).await.unwrap();
        if of_another {
            assert_eq!(
                done[..3],
                ["drain done", "finish_drain done", "teardown done"],
                "the owner stays, it leaves"
            );
            assert_eq!(row, None);
        } else {
            assert_eq!(done[0], "unassign done");
            assert_eq!(row.unwrap().assignment, None);
        }
        // The conversation that its row named before has no owner that is known.
        world.healed(&["its owner, worker w, has no row that names it"]).await;
        match owner {
            Some(owner) => world.finished_by(&owner, Some(&talk), &message).await,
            None => world.finished_by(&worker, None, &message).await,
        }
    }
}

#[tokio::test]
async fn a_row_that_is_closed_while_a_conversation_names_it_frees_it_first() {
    let world = World::new().await;
    let talk = conversation("talk");
    let message = world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    world.set(keys::worker(&worker), "st", json!({"S": "stopping"})).await;
    world.set(keys::worker(&worker), "si", json!({"N": "1"})).await;
    assert_eq!(outcomes(&world.reconcile(&world.app).await)[..2], ["repair done", "unassign done"]);
    world.reconcile(&world.app).await;
    assert!(world.app.store.stopped_worker(&worker, world.app.now()).await.unwrap().is_some());
    world.finished(&message).await;
}

#[tokio::test]
async fn a_repair_that_is_sent_twice_is_refused_the_second_time_unless_it_knows_its_own() {
    let world = World::new().await;
    let (store, policies) = (&world.app.store, Policies::default());
    let talk = conversation("talk");
    let (lost, _) = (world.enqueue(&talk, None).await, world.enqueue(&talk, None).await);
    let worker = world.worker("w", Some(&talk)).await;
    world.delete(keys::message(&lost)).await;
    world.delete(keys::worker(&worker)).await;
    let evidence = RelatedState { ended: [lost].into(), ..RelatedState::default() };
    for expected in ["messages wait", "its owner"] {
        let before = world.stored(&talk).await;
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
    let before = world.stored(&talk).await;
    let Repair::Reindex(after) = before.repair_for(&Problem::NotIndexed, world.app.now(), &policies) else {
        panic!()
    };
    let first = store.repair_if_unchanged(&before, &after, &policies).await.unwrap();
    let second = store.repair_if_unchanged(&before, &after, &policies).await.unwrap();
    assert!(matches!((first, second), (Commit::Done, Commit::Done)), "it finds the keys that it has written");
}

#[tokio::test]
async fn a_repair_leaves_alone_what_has_come_back_meanwhile() {
    let world = World::new().await;
    let (store, policies) = (&world.app.store, Policies::default());
    let talk = conversation("talk");
    let message = world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    let before = world.stored(&talk).await;
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
    assert_eq!(world.stored(&talk).await, before);
}
