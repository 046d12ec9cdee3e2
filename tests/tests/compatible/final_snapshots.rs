//! An image leaves on its own: its row is active until the snapshot that it makes before has ended.

use af_domain::policy::Policies;
use serde_json::{Value, json};

use crate::{Image, TALK, World};

/// An image that has answered a message, and goes.
async fn image_that_goes<'a>(world: &'a World, id: &str) -> Image<'a> {
    let (image, job) = world.image_at_work(id).await;
    image.of(&job, "workerComplete", json!({})).await;
    image
}

/// Another image gets the conversation, and what it would restore.
async fn heir_of(world: &World) -> Value {
    world.enqueue(TALK, "telegram", "next").await;
    let heir = world.image("heir", Some(TALK)).await;
    let restored = heir.restore().await;
    assert_eq!(heir.mine("workerClaim", json!({})).await["conversationId"], TALK);
    restored
}

#[tokio::test]
async fn one_that_booted_for_nobody_takes_no_conversation_that_has_files_and_makes_way() {
    let world = World::new().await;
    let image = image_that_goes(&world, "w").await;
    let kept = image.keep("manual", b"files").await;
    world.enqueue(TALK, "telegram", "next").await;
    let mine = json!({"conversationId": TALK});
    for (spare, args) in [("spare", json!({})), ("pinned", mine)] {
        let spare = world.image(spare, None).await;
        assert_eq!(spare.mine("workerClaim", args).await, Value::Null);
        assert_eq!(world.worker_row(&spare.id).await["status"], "draining", "nobody counts on it");
        assert_eq!(spare.mine("workerControlState", json!({})).await, json!({"shouldStop": true}));
    }
    let heir = world.image("heir", Some(TALK)).await;
    assert_eq!(heir.restore().await["snapshotId"], kept["snapshotId"]);
    assert_eq!(heir.claim().await["payload"]["messageText"], "next");
}

#[tokio::test]
async fn one_that_booted_for_nobody_makes_way_as_soon_as_it_is_told_of_what_it_may_not_take() {
    let world = World::new().await;
    image_that_goes(&world, "w").await.keep("manual", b"files").await;
    // More than are looked at in one request.
    for n in 0..40 {
        let body = json!({
            "conversationId": format!("later-{n}"), "agentKey": "demo", "scheduledFor": world.now() + 86_400_000,
            "payload": {"provider": "app", "providerUserId": "555", "messageText": "later"},
        });
        world.api.post("/v1/messages", body).send().await.body_of(202);
    }
    let spare = world.image("spare", None).await;
    for _ in 0..3 {
        assert_eq!(spare.mine("workerClaim", json!({})).await, Value::Null);
    }
    world.enqueue(TALK, "telegram", "next").await;
    world.reconcile().await;
    assert_eq!(spare.mine("workerClaim", json!({})).await, Value::Null);
    assert_eq!(world.worker_row("spare").await["status"], "draining", "nobody counts on it");
}

#[tokio::test]
async fn one_that_could_not_fetch_its_files_claims_nothing_and_leaves_them_as_they_are() {
    let world = World::new().await;
    let kept = image_that_goes(&world, "w").await.keep("manual", b"files").await;
    world.enqueue(TALK, "telegram", "next").await;
    let unlucky = world.image("unlucky", Some(TALK)).await;
    assert_eq!(unlucky.latest().await["snapshotId"], kept["snapshotId"], "its link is never followed");
    assert_eq!(unlucky.mine("workerClaim", json!({})).await, Value::Null);
    assert_eq!(world.worker_row("unlucky").await["status"], "draining");
    assert_eq!(unlucky.mine("workerControlState", json!({})).await, json!({"shouldStop": true}));
    let args = json!({"workerId": "unlucky", "reason": "drain"});
    let (_, answer) = unlucky.call("workerPrepareSnapshotUpload", args).await;
    assert!(answer["errorMessage"].as_str().unwrap().contains("no new files"), "{answer}");
    assert_eq!(world.worker_row("unlucky").await["status"], "stopping");

    let heir = world.image("heir", Some(TALK)).await;
    assert_eq!(heir.restore().await["snapshotId"], kept["snapshotId"]);
    let job = heir.claim().await;
    assert_eq!(job["payload"]["messageText"], "next");
    heir.of(&job, "workerComplete", json!({})).await;
    world.enqueue(TALK, "telegram", "and the next").await;
    assert_eq!(heir.claim().await["payload"]["messageText"], "and the next");
}

#[tokio::test]
async fn one_that_booted_for_nobody_takes_what_has_no_files_before_it_makes_way() {
    let world = World::new().await;
    image_that_goes(&world, "w").await.keep("manual", b"files").await;
    for conversation in [TALK, "one", "two"] {
        world.enqueue(conversation, "telegram", "next").await;
    }
    let spare = world.image("spare", None).await;
    let claimed = spare.mine("workerClaim", json!({})).await;
    assert_ne!(claimed["conversationId"], TALK);
    assert_eq!(spare.mine("workerClaim", json!({"conversationId": TALK})).await, Value::Null);
    assert_eq!(world.worker_row("spare").await["status"], "active", "it has work");
}

#[tokio::test]
async fn one_whose_conversation_is_quiet_leaves_when_others_wait() {
    let world = World::new().await;
    let image = image_that_goes(&world, "w").await;
    let key = af_store::conversation_key(&af_domain::ids::ConversationId::parse(TALK).unwrap());
    let ask = || async {
        let owned = world.app.store.conversation(&key, true).await.unwrap().unwrap();
        world.app.store.ask_to_switch_if_owned(&owned, true).await.unwrap();
    };
    let stop = || image.mine("workerControlState", json!({}));
    world.advance(Policies::default().scaling.switch_after_quiet);
    assert_eq!(stop().await, json!({"shouldStop": false}), "nobody has asked");
    ask().await;
    assert_eq!(stop().await, json!({"shouldStop": false}), "nobody waits");
    world.enqueue("another", "telegram", "hello").await;
    ask().await;
    assert_eq!(stop().await, json!({"shouldStop": true}));
    image.keep("drain", b"files").await;
    assert_eq!(world.worker_row("w").await["status"], "stopping");
}

#[tokio::test]
async fn one_that_leaves_with_a_manual_snapshot_is_stopping_when_it_is_finalized() {
    let world = World::new().await;
    let image = image_that_goes(&world, "w").await;
    let prepared = image.prepare("manual").await;
    assert_eq!(world.worker_row("w").await["status"], "active", "its files are not kept yet");
    image.post(&prepared["uploadUrl"], b"files".to_vec()).await;
    for _ in 0..2 {
        assert_eq!(image.finalize(&prepared, b"files").await, true, "also when it is sent again");
        let row = world.worker_row("w").await;
        assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(false)));
    }
    assert_eq!(world.worker_row("w").await["lastSnapshotId"], prepared["snapshotId"]);
    assert_eq!(heir_of(&world).await["snapshotId"], prepared["snapshotId"]);
    world.reconcile().await;
    assert_eq!(world.worker_row("w").await["status"], "stopped");
}

#[tokio::test]
async fn one_that_leaves_by_a_signal_claims_nothing_more_from_then_on() {
    let world = World::new().await;
    let image = image_that_goes(&world, "w").await;
    let prepared = image.prepare("signal").await;
    world.enqueue(TALK, "telegram", "while it leaves").await;
    assert_eq!(image.mine("workerClaim", json!({"conversationId": TALK})).await, Value::Null);
    image.post(&prepared["uploadUrl"], b"files".to_vec()).await;
    assert_eq!(image.finalize(&prepared, b"files").await, true);
    assert_eq!(world.worker_row("w").await["status"], "stopping");
    let heir = world.image("heir", Some(TALK)).await;
    heir.restore().await;
    assert_eq!(heir.mine("workerClaim", json!({})).await["payload"]["messageText"], "while it leaves");
}

#[tokio::test]
async fn one_that_leaves_by_a_signal_gives_back_what_it_runs() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    let prepared = image.prepare("signal").await;
    let message = world.message(&job["messageId"]).await;
    assert_eq!((&message["status"], &message["attempts"]), (&json!("queued"), &json!(1)), "{message}");
    assert_eq!(image.of(&job, "workerComplete", json!({})).await, false);
    image.post(&prepared["uploadUrl"], b"files".to_vec()).await;
    assert_eq!(image.finalize(&prepared, b"files").await, true);
    assert_eq!(world.worker_row("w").await["status"], "stopping");
    world.advance(Policies::default().lease.stale_after);
    let heir = world.image("heir", Some(TALK)).await;
    assert_eq!(heir.restore().await["snapshotId"], prepared["snapshotId"]);
    assert_eq!(heir.claim().await["messageId"], job["messageId"]);
}

#[tokio::test]
async fn one_whose_upload_fails_is_stopping_too_and_its_snapshot_is_missed() {
    for reason in ["manual", "signal"] {
        let world = World::new().await;
        let image = image_that_goes(&world, "w").await;
        let prepared = image.prepare(reason).await;
        for _ in 0..2 {
            let args = json!({"snapshotId": prepared["snapshotId"], "error": "disk"});
            assert_eq!(image.mine("workerFailSnapshotUpload", args).await, true);
            let row = world.worker_row("w").await;
            assert_eq!(
                (&row["status"], &row["snapshotMissed"]),
                (&json!("stopping"), &json!(true)),
                "{reason}"
            );
        }
        let rows = world.items().await;
        let row = rows.iter().find(|row| row["id"]["S"] == prepared["snapshotId"]).unwrap();
        assert_eq!(row["er"]["S"], "disk", "its own words, and no archive that was too large");
        assert_eq!(heir_of(&world).await, Value::Null, "nobody has kept anything");
    }
}

#[tokio::test]
async fn a_snapshot_newer_than_the_last_claim_settles_what_is_owed() {
    let world = World::new().await;
    let image = image_that_goes(&world, "w").await;
    let prepared = image.prepare("manual").await;
    image.post(&prepared["uploadUrl"], b"files".to_vec()).await;
    // Before it has finalized, it is drained for having been idle.
    world.advance(Policies::default().scaling.idle_timeout);
    world.reconcile().await;
    assert_eq!(world.worker_row("w").await["status"], "draining");
    assert_eq!(image.finalize(&prepared, b"files").await, true);
    let row = world.worker_row("w").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(false)));
}

#[tokio::test]
async fn one_that_is_told_to_stop_leaves_with_its_drain_snapshot() {
    let world = World::new().await;
    let image = image_that_goes(&world, "w").await;
    world.advance(Policies::default().scaling.idle_timeout);
    world.reconcile().await;
    assert_eq!(image.mine("workerControlState", json!({})).await, json!({"shouldStop": true}));
    image.keep("drain", b"files").await;
    let row = world.worker_row("w").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(false)));
}

#[tokio::test]
async fn one_that_is_told_to_stop_before_anybody_has_drained_it_is_stopping_too() {
    let world = World::new().await;
    let image = image_that_goes(&world, "w").await;
    world.advance(Policies::default().lease.stale_after);
    assert_eq!(image.mine("workerControlState", json!({})).await, json!({"shouldStop": true}));
    assert_eq!(world.worker_row("w").await["status"], "active");
    image.keep("drain", b"files").await;
    let row = world.worker_row("w").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(false)));
}

#[tokio::test]
async fn one_that_has_claimed_nothing_has_nothing_to_keep_and_is_stopping_at_once() {
    let world = World::new().await;
    world.enqueue(TALK, "telegram", "hello").await;
    // Before it has claimed, an image does not say which conversation it was started for.
    for (id, conversation, args) in [
        ("w", Some(TALK), json!({"conversationId": TALK})),
        ("unsaid", Some(TALK), json!({})),
        ("free", None, json!({})),
    ] {
        let image = world.image(id, conversation).await;
        let mut args = args;
        (args["workerId"], args["reason"]) = (json!(id), json!("manual"));
        let (status, answer) = image.call("workerPrepareSnapshotUpload", args).await;
        assert_eq!((status, &answer["status"]), (200, &json!("error")), "{answer}");
        assert!(answer["errorMessage"].as_str().unwrap().contains("no new files"), "{answer}");
        let row = world.worker_row(id).await;
        assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(false)));
    }
    let heir = world.image("heir", None).await;
    assert_eq!(heir.mine("workerClaim", json!({})).await["conversationId"], TALK);
}

#[tokio::test]
async fn one_that_has_lost_its_conversation_replaces_nothing() {
    let world = World::new().await;
    let image = image_that_goes(&world, "w").await;
    let prepared = image.prepare("manual").await;
    image.post(&prepared["uploadUrl"], b"old files".to_vec()).await;
    let policies = Policies::default();
    world.advance(policies.lease.stale_after);
    world.reconcile().await;
    world.advance(policies.scaling.drain_timeout);
    world.reconcile().await;
    assert_eq!(heir_of(&world).await, Value::Null);
    assert_eq!(image.finalize(&prepared, b"old files").await, false);
    let rows = world.items().await;
    assert!(!rows.iter().any(|row| row["sk"]["S"] == "S~"), "the conversation has no latest snapshot");
}
