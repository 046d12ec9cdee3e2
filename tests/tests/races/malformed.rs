//! Malformed states, which the tests write directly into the table. The consistency check finds and repairs each of them. Polls and
//! reconcile repair the malformed states that they meet, and the work continues.

use af_app::conversations::consistency::check;
use af_app::worker::{Retry, fail};
use af_domain::message::MessageStatus;
use af_domain::time::Millis;
use af_store::{conversation_key, keys};
use serde_json::json;

use crate::direct_writes::meta;
use crate::world::{World, conversation_id, outcomes};

const PAST_THE_LEASE: Millis = Millis::from_secs(91);
/// More items than one call of the consistency check reads.
const MORE_THAN_A_CALL: usize = 2_100;

#[tokio::test]
async fn the_consistency_check_finds_nothing_in_a_deployment_without_direct_writes() {
    let world = World::new().await;
    let [owned, leased, waiting, retrying] = ["owned", "running", "waiting", "retrying"].map(conversation_id);
    for conversation in [&leased, &retrying, &owned] {
        world.enqueue(conversation, None).await;
    }
    let quiet = world.worker("quiet", Some(&owned)).await;
    let running = world.claim(&quiet, Some(&owned)).await;
    world.complete(&running).await;
    let busy = world.worker("busy", Some(&leased)).await;
    world.claim(&busy, Some(&leased)).await;
    let failing = world.worker("failing", Some(&retrying)).await;
    let running = world.claim(&failing, Some(&retrying)).await;
    fail(&world.app, &failing, &running.message, &running.lease, "no", Retry::After(None)).await.unwrap();
    world.release(&failing, &retrying).await;
    world.enqueue(&waiting, None).await;

    let answer = world.check_consistency(true).await;
    assert_eq!((answer.checked, answer.found, answer.next_cursor), (4, vec![], None));
}

#[tokio::test]
async fn a_message_whose_workers_row_was_deleted_goes_to_another_worker() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let message = world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    world.claim(&worker, Some(&conversation)).await;
    world.delete(keys::worker(&worker)).await;

    world.assert_check_repairs(&["its lease is held by worker w", "its owner, worker w, has no row"]).await;
    let stored = world.stored(&conversation).await;
    assert_eq!((stored.lease, stored.owner), (None, None));
    assert_eq!(stored.queue.entries()[0].attempts_counted(), 1);
    let shown = world.app.store.message(&message, world.app.now(), true).await.unwrap().unwrap();
    assert_eq!((shown.last_error.as_deref(), shown.attempts), (Some("worker w is gone"), 1));
    world.assert_claimable(&message).await;
}

#[tokio::test]
async fn a_message_whose_last_worker_was_deleted_becomes_a_dead_letter() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let message = world.enqueue(&conversation, Some(1)).await;
    let worker = world.worker("w", Some(&conversation)).await;
    world.claim(&worker, Some(&conversation)).await;
    world.delete(keys::worker(&worker)).await;
    world.assert_check_repairs(&["its lease is held by worker w", "its owner, worker w, has no row"]).await;
    let dead = world.app.store.message(&message, world.app.now(), true).await.unwrap().unwrap();
    assert_eq!(dead.status, MessageStatus::DeadLetter);
    assert_eq!(dead.last_error.as_deref(), Some("worker w is gone"));
    let next = world.enqueue(&conversation, None).await;
    world.assert_claimable(&next).await;
}

#[tokio::test]
async fn an_owner_whose_row_does_not_name_the_conversation_loses_it() {
    for names_another in [false, true] {
        let world = World::new().await;
        let conversation = conversation_id("talk");
        let message = world.enqueue(&conversation, None).await;
        let worker = world.worker("w", Some(&conversation)).await;
        if names_another {
            let other = conversation_id("other");
            let key = conversation_key(&other).to_string();
            let assignment = json!({"M": {
                "cid": {"S": "other"}, "ck": {"S": key}, "ag": {"S": "demo"}, "at": {"N": "1"},
            }});
            world.set(keys::worker(&worker), "as", assignment).await;
        } else {
            world.remove(keys::worker(&worker), "as").await;
        }
        world.assert_check_repairs(&["its owner, worker w, has no row that names it"]).await;
        world.assert_claimable(&message).await;
    }
}

#[tokio::test]
async fn a_lease_without_an_owner_ends_and_the_conversation_is_claimable_again() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let message = world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    world.claim(&worker, Some(&conversation)).await;
    world.remove(meta(&conversation), "ow").await;
    world.assert_check_repairs(&["its lease is held by worker w, which does not own it"]).await;
    world.assert_claimable(&message).await;
}

#[tokio::test]
async fn the_consistency_check_removes_a_lease_whose_message_does_not_exist() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let (lost, next) = (world.enqueue(&conversation, None).await, world.enqueue(&conversation, None).await);
    let worker = world.worker("w", Some(&conversation)).await;
    let running = world.claim(&worker, Some(&conversation)).await;
    world.delete(keys::message(&lost)).await;
    world.assert_check_repairs(&["its lease names message"]).await;
    let late = fail(&world.app, &worker, &running.message, &running.lease, "no", Retry::After(None)).await;
    assert!(late.is_err(), "{late:?}");
    world.assert_claimable_by(&worker, Some(&conversation), &next).await;
}

#[tokio::test]
async fn a_lease_whose_message_does_not_exist_is_removed_at_its_end() {
    for by_worker in [false, true] {
        let world = World::new().await;
        let conversation = conversation_id("talk");
        let (lost, next) =
            (world.enqueue(&conversation, None).await, world.enqueue(&conversation, None).await);
        let worker = world.worker("w", Some(&conversation)).await;
        let running = world.claim(&worker, Some(&conversation)).await;
        world.delete(keys::message(&lost)).await;
        if by_worker {
            fail(&world.app, &worker, &running.message, &running.lease, "no", Retry::After(None))
                .await
                .unwrap_err();
        } else {
            world.bundle.clock.advance(PAST_THE_LEASE);
            assert_eq!(outcomes(&world.reconcile(&world.app).await), ["recover done"]);
        }
        assert_eq!(world.stored(&conversation).await.lease, None);
        world.assert_claimable_by(&worker, Some(&conversation), &next).await;
    }
}

#[tokio::test]
async fn the_consistency_check_removes_a_queue_entry_whose_message_does_not_exist() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let (first, lost) = (world.enqueue(&conversation, None).await, world.enqueue(&conversation, None).await);
    world.delete(keys::message(&lost)).await;
    world.assert_check_repairs(&[lost.as_str()]).await;
    assert_eq!(world.stored(&conversation).await.queue.len(), 1);
    world.assert_claimable(&first).await;
}

#[tokio::test]
async fn a_claim_removes_a_queue_entry_whose_message_does_not_exist() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let (lost, next) = (world.enqueue(&conversation, None).await, world.enqueue(&conversation, None).await);
    world.delete(keys::message(&lost)).await;
    world.assert_claimable(&next).await;
    assert_eq!(world.check_consistency(false).await.found, []);
}

#[tokio::test]
async fn the_consistency_check_removes_a_queue_entry_whose_message_has_ended() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    let (ended, next) = (world.enqueue(&conversation, None).await, world.enqueue(&conversation, None).await);
    world.set(keys::message(&ended), "st", json!({"S": "done"})).await;
    world.assert_check_repairs(&[ended.as_str()]).await;
    world.assert_claimable(&next).await;
}

#[tokio::test]
async fn the_consistency_check_finds_a_waiting_message_with_a_wrong_index_entry() {
    let later = json!({"S": "1#9999999999998"});
    for (name, value) in [("rk", None), ("rp", None), ("rk", Some(later)), ("rk", Some(json!({"S": "zzz"})))]
    {
        let world = World::new().await;
        let conversation = conversation_id("talk");
        let message = world.enqueue(&conversation, None).await;
        match value {
            Some(value) => world.set(meta(&conversation), name, value).await,
            None => world.remove(meta(&conversation), name).await,
        }
        world.assert_check_repairs(&["its entry in the ready index is missing or wrong"]).await;
        world.assert_claimable(&message).await;
    }
}

#[tokio::test]
async fn the_consistency_check_finds_an_idle_conversation_with_a_wrong_index_entry() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    world.enqueue(&conversation, None).await;
    let worker = world.worker("w", None).await;
    let running = world.claim(&worker, None).await;
    world.complete(&running).await;
    world.release(&worker, &conversation).await;
    world.set(meta(&conversation), "rk", json!({"S": "0#050#1"})).await;
    world.assert_check_repairs(&["its entry in the ready index is missing or wrong"]).await;
    world.remove(meta(&conversation), "rp").await;
    world.assert_check_repairs(&["its entry in the ready index is missing or wrong"]).await;
    let message = world.enqueue(&conversation, None).await;
    world.assert_claimable(&message).await;
}

#[tokio::test]
async fn an_unreadable_conversation_is_reported_and_does_not_hide_others() {
    let world = World::new().await;
    let [broken, conversation] = ["broken", "talk"].map(conversation_id);
    let message = world.enqueue(&conversation, None).await;
    world.enqueue(&broken, None).await;
    world.set(meta(&broken), "pe", json!({"L": [{"S": "no entry"}]})).await;
    world.remove(meta(&conversation), "rk").await;
    let found = world.check_consistency(true).await.found;
    let of = |name: &str| found.iter().find(|f| f.conversation_id == name).unwrap();
    assert!(of("broken").problem.contains("not a pending entry") && !of("broken").repaired);
    assert!(of("talk").repaired);
    world.assert_claimable(&message).await;
}

#[tokio::test]
async fn a_free_worker_claims_a_message_among_unreadable_conversations() {
    let world = World::new().await;
    let worker = world.worker("w", None).await;
    let found_nothing = world.poll(&world.app, &worker, None).await.job.is_none();
    assert!(found_nothing, "after an empty poll the worker reads the whole index");
    for broken in (0..9).map(|n| conversation_id(&format!("broken-{n}"))) {
        world.enqueue(&broken, None).await;
        world.set(meta(&broken), "pe", json!({"L": [{"S": "no entry"}]})).await;
    }
    let message = world.enqueue(&conversation_id("talk"), None).await;
    assert_eq!(world.claim(&worker, None).await.message, message);
}

#[tokio::test]
async fn a_consistency_check_in_several_calls_finds_each_conversation_once() {
    let world = World::new().await;
    let conversations: Vec<_> = (0..12).map(|i| conversation_id(&format!("talk-{i}"))).collect();
    for conversation in &conversations {
        world.enqueue(conversation, None).await;
        world.remove(meta(conversation), "rk").await;
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
        let answer = check(&world.app, from.as_deref(), false).await.unwrap();
        calls += 1;
        checked += answer.checked;
        found.extend(answer.found.into_iter().map(|f| f.conversation_id));
        from = answer.next_cursor;
        if from.is_none() {
            break;
        }
    }
    found.sort();
    found.dedup();
    assert_eq!((calls, checked, found.len()), (2, conversations.len(), conversations.len()));
}
