//! States that no write of ours leaves behind, put straight into the table: the audit finds each and mends it, what is
//! passed on the way is mended at once, and the work goes on.

use af_app::conversations::consistency::audit;
use af_app::worker::fail;
use af_domain::message::MessageStatus;
use af_domain::time::Millis;
use af_store::{conversation_key, keys};
use serde_json::json;

use crate::meddling::meta;
use crate::world::{World, conversation, outcomes};

const PAST_THE_LEASE: Millis = Millis::from_secs(91);
/// More items than one call of the audit reads.
const MORE_THAN_A_CALL: usize = 2_100;

#[tokio::test]
async fn nothing_is_wrong_with_a_deployment_that_nobody_has_meddled_with() {
    let world = World::new().await;
    let [owned, running, waiting, retrying] = ["owned", "running", "waiting", "retrying"].map(conversation);
    for talk in [&running, &retrying, &owned] {
        world.enqueue(talk, None).await;
    }
    let quiet = world.worker("quiet", Some(&owned)).await;
    let held = world.claim(&quiet, Some(&owned)).await;
    world.complete(&held).await;
    let busy = world.worker("busy", Some(&running)).await;
    world.claim(&busy, Some(&running)).await;
    let failing = world.worker("failing", Some(&retrying)).await;
    let held = world.claim(&failing, Some(&retrying)).await;
    fail(&world.app, &failing, &held.message, &held.lease, "no", true).await.unwrap();
    world.release(&failing, &retrying).await;
    world.enqueue(&waiting, None).await;

    let audited = world.audit(true).await;
    assert_eq!((audited.checked, audited.found, audited.next), (4, vec![], None));
}

#[tokio::test]
async fn a_message_whose_workers_row_was_deleted_is_given_to_another() {
    let world = World::new().await;
    let talk = conversation("talk");
    let message = world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    world.claim(&worker, Some(&talk)).await;
    world.delete(keys::worker(&worker)).await;

    world.healed(&["its lease is held by worker w", "its owner, worker w, has no row"]).await;
    let stored = world.stored(&talk).await;
    assert_eq!((stored.lease, stored.owner), (None, None));
    assert_eq!(stored.queue.entries()[0].attempts_counted(), 1);
    let shown = world.app.store.message(&message, world.app.now(), true).await.unwrap().unwrap();
    assert_eq!((shown.last_error.as_deref(), shown.attempts), (Some("worker w is gone"), 1));
    world.finished(&message).await;
}

#[tokio::test]
async fn the_last_attempt_of_a_deleted_worker_is_a_dead_letter() {
    let world = World::new().await;
    let talk = conversation("talk");
    let message = world.enqueue(&talk, Some(1)).await;
    let worker = world.worker("w", Some(&talk)).await;
    world.claim(&worker, Some(&talk)).await;
    world.delete(keys::worker(&worker)).await;
    world.healed(&["its lease is held by worker w", "its owner, worker w, has no row"]).await;
    let dead = world.app.store.message(&message, world.app.now(), true).await.unwrap().unwrap();
    assert_eq!(dead.status, MessageStatus::DeadLetter);
    assert_eq!(dead.last_error.as_deref(), Some("worker w is gone"));
    let next = world.enqueue(&talk, None).await;
    world.finished(&next).await;
}

#[tokio::test]
async fn an_owner_whose_row_names_no_conversation_or_another_one_is_none() {
    for elsewhere in [false, true] {
        let world = World::new().await;
        let talk = conversation("talk");
        let message = world.enqueue(&talk, None).await;
        let worker = world.worker("w", Some(&talk)).await;
        if elsewhere {
            let other = conversation("other");
            let key = conversation_key(&other).to_string();
            let assignment = json!({"M": {
                "cid": {"S": "other"}, "ck": {"S": key}, "ag": {"S": "demo"}, "at": {"N": "1"},
            }});
            world.set(keys::worker(&worker), "as", assignment).await;
        } else {
            world.remove(keys::worker(&worker), "as").await;
        }
        world.healed(&["its owner, worker w, has no row that names it"]).await;
        world.finished(&message).await;
    }
}

#[tokio::test]
async fn a_lease_without_its_owner_ends_and_the_conversation_is_found_again() {
    let world = World::new().await;
    let talk = conversation("talk");
    let message = world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    world.claim(&worker, Some(&talk)).await;
    world.remove(meta(&talk), "ow").await;
    world.healed(&["its lease is held by worker w, which does not own it"]).await;
    world.finished(&message).await;
}

#[tokio::test]
async fn a_lease_that_names_no_message_is_forgotten_by_the_audit() {
    let world = World::new().await;
    let talk = conversation("talk");
    let (lost, next) = (world.enqueue(&talk, None).await, world.enqueue(&talk, None).await);
    let worker = world.worker("w", Some(&talk)).await;
    let held = world.claim(&worker, Some(&talk)).await;
    world.delete(keys::message(&lost)).await;
    world.healed(&["its lease names message"]).await;
    let late = fail(&world.app, &worker, &held.message, &held.lease, "no", true).await;
    assert!(late.is_err(), "{late:?}");
    world.finished_by(&worker, Some(&talk), &next).await;
}

#[tokio::test]
async fn a_lease_that_names_no_message_is_forgotten_when_it_ends() {
    for by_holder in [false, true] {
        let world = World::new().await;
        let talk = conversation("talk");
        let (lost, next) = (world.enqueue(&talk, None).await, world.enqueue(&talk, None).await);
        let worker = world.worker("w", Some(&talk)).await;
        let held = world.claim(&worker, Some(&talk)).await;
        world.delete(keys::message(&lost)).await;
        if by_holder {
            fail(&world.app, &worker, &held.message, &held.lease, "no", true).await.unwrap_err();
        } else {
            world.bundle.clock.advance(PAST_THE_LEASE);
            assert_eq!(outcomes(&world.reconcile(&world.app).await), ["recover done"]);
        }
        assert_eq!(world.stored(&talk).await.lease, None);
        world.finished_by(&worker, Some(&talk), &next).await;
    }
}

#[tokio::test]
async fn what_waits_without_a_message_is_dropped_by_the_audit() {
    let world = World::new().await;
    let talk = conversation("talk");
    let (first, lost) = (world.enqueue(&talk, None).await, world.enqueue(&talk, None).await);
    world.delete(keys::message(&lost)).await;
    world.healed(&[lost.as_str()]).await;
    assert_eq!(world.stored(&talk).await.queue.len(), 1);
    world.finished(&first).await;
}

#[tokio::test]
async fn what_waits_without_a_message_is_dropped_when_its_turn_comes() {
    let world = World::new().await;
    let talk = conversation("talk");
    let (lost, next) = (world.enqueue(&talk, None).await, world.enqueue(&talk, None).await);
    world.delete(keys::message(&lost)).await;
    world.finished(&next).await;
    assert_eq!(world.audit(false).await.found, []);
}

#[tokio::test]
async fn a_message_that_has_ended_does_not_wait_a_second_time() {
    let world = World::new().await;
    let talk = conversation("talk");
    let (over, next) = (world.enqueue(&talk, None).await, world.enqueue(&talk, None).await);
    world.set(keys::message(&over), "st", json!({"S": "done"})).await;
    world.healed(&[over.as_str()]).await;
    world.finished(&next).await;
}

#[tokio::test]
async fn work_that_the_ready_index_hides_is_found() {
    let later = json!({"S": "1#9999999999998"});
    for (name, value) in [("rk", None), ("rp", None), ("rk", Some(later)), ("rk", Some(json!({"S": "zzz"})))]
    {
        let world = World::new().await;
        let talk = conversation("talk");
        let message = world.enqueue(&talk, None).await;
        match value {
            Some(value) => world.set(meta(&talk), name, value).await,
            None => world.remove(meta(&talk), name).await,
        }
        world.healed(&["its entry in the ready index is missing or wrong"]).await;
        world.finished(&message).await;
    }
}

#[tokio::test]
async fn a_conversation_at_rest_that_is_listed_or_that_the_next_message_could_not_list_is_found() {
    let world = World::new().await;
    let talk = conversation("talk");
    world.enqueue(&talk, None).await;
    let worker = world.worker("w", None).await;
    let held = world.claim(&worker, None).await;
    world.complete(&held).await;
    world.release(&worker, &talk).await;
    world.set(meta(&talk), "rk", json!({"S": "0#050#1"})).await;
    world.healed(&["its entry in the ready index is missing or wrong"]).await;
    world.remove(meta(&talk), "rp").await;
    world.healed(&["its entry in the ready index is missing or wrong"]).await;
    let message = world.enqueue(&talk, None).await;
    world.finished(&message).await;
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_told_and_hides_no_other() {
    let world = World::new().await;
    let [broken, talk] = ["broken", "talk"].map(conversation);
    let message = world.enqueue(&talk, None).await;
    world.enqueue(&broken, None).await;
    world.set(meta(&broken), "pe", json!({"L": [{"S": "no entry"}]})).await;
    world.remove(meta(&talk), "rk").await;
    let found = world.audit(true).await.found;
    let of = |name: &str| found.iter().find(|f| f.conversation == name).unwrap();
    assert!(of("broken").problem.contains("not a pending entry") && !of("broken").repaired);
    assert!(of("talk").repaired);
    world.finished(&message).await;
}

#[tokio::test]
async fn a_free_worker_claims_beside_what_cannot_be_read() {
    let world = World::new().await;
    let worker = world.worker("w", None).await;
    let found_nothing = world.poll(&world.app, &worker, None).await.job.is_none();
    assert!(found_nothing, "it looks at the whole index from now on");
    for broken in (0..9).map(|n| conversation(&format!("broken-{n}"))) {
        world.enqueue(&broken, None).await;
        world.set(meta(&broken), "pe", json!({"L": [{"S": "no entry"}]})).await;
    }
    let message = world.enqueue(&conversation("talk"), None).await;
    assert_eq!(world.claim(&worker, None).await.message, message);
}

#[tokio::test]
async fn a_walk_goes_on_where_the_call_before_ended_and_finds_each_conversation_once() {
    let world = World::new().await;
    let talks: Vec<_> = (0..12).map(|i| conversation(&format!("talk-{i}"))).collect();
    for talk in &talks {
        world.enqueue(talk, None).await;
        world.remove(meta(talk), "rk").await;
    }
    let table = &world.bundle.template.tables[0].name;
    let items: Vec<_> = (0..MORE_THAN_A_CALL)
        .map(|i| json!({"PutRequest": {"Item": {"pk": {"S": format!("X#{i}")}, "sk": {"S": "#"}}}}))
        .collect();
    for batch in items.chunks(25) {
        let request = json!({"RequestItems": {table: batch}});
        assert_eq!(world.bundle.aws.engine().call("BatchWriteItem", request).await.status, 200);
    }
    let (mut calls, mut checked, mut found, mut from) = (0, 0, Vec::new(), None);
    loop {
        let audited = audit(&world.app, from.as_deref(), false).await.unwrap();
        calls += 1;
        checked += audited.checked;
        found.extend(audited.found.into_iter().map(|f| f.conversation));
        from = audited.next;
        if from.is_none() {
            break;
        }
    }
    found.sort();
    found.dedup();
    assert_eq!((calls, checked, found.len()), (2, talks.len(), talks.len()));
}
