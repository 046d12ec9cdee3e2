//! An image that ends on its own: its row is active until its final snapshot has ended.

use af_domain::policy::Policies;
use serde_json::{Value, json};

use crate::{CONVERSATION, Image, World};

/// An image that has completed a message.
async fn image_that_has_answered<'a>(world: &'a World, id: &str) -> Image<'a> {
    let (image, job) = world.image_at_work(id).await;
    image.of(&job, "workerComplete", json!({})).await;
    image
}

/// The snapshot that the next image of the conversation restores.
async fn restored_by_successor(world: &World) -> Value {
    world.enqueue(CONVERSATION, "telegram", "next").await;
    let successor = world.image("successor", Some(CONVERSATION)).await;
    let restored = successor.restore().await;
    assert_eq!(successor.own("workerClaim", json!({})).await["conversationId"], CONVERSATION);
    restored
}

#[tokio::test]
async fn a_spare_image_gets_no_conversation_with_a_snapshot_and_drains() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    let kept = image.upload_snapshot("manual", b"files").await;
    world.enqueue(CONVERSATION, "telegram", "next").await;
    let mine = json!({"conversationId": CONVERSATION});
    for (id, args) in [("spare", json!({})), ("pinned", mine)] {
        let spare = world.image(id, None).await;
        assert_eq!(spare.own("workerClaim", args).await, Value::Null);
        assert_eq!(
            world.worker_row(&spare.id).await["status"],
            "draining",
            "no conversation waits for this image"
        );
        assert_eq!(spare.own("workerControlState", json!({})).await, json!({"shouldStop": true}));
    }
    let successor = world.image("successor", Some(CONVERSATION)).await;
    assert_eq!(successor.restore().await["snapshotId"], kept["snapshotId"]);
    assert_eq!(successor.claim().await["payload"]["messageText"], "next");
}

#[tokio::test]
async fn a_spare_image_drains_when_it_meets_a_conversation_with_a_snapshot() {
    let world = World::new().await;
    image_that_has_answered(&world, "w").await.upload_snapshot("manual", b"files").await;
    // More entries than one request reads.
    for n in 0..40 {
        let body = json!({
            "conversationId": format!("later-{n}"), "agentKey": "demo", "scheduledFor": world.now() + 86_400_000,
            "payload": {"provider": "app", "providerUserId": "555", "messageText": "later"},
        });
        world.api.post("/v1/messages", body).send().await.body_of(202);
    }
    let spare = world.image("spare", None).await;
    for _ in 0..3 {
        assert_eq!(spare.own("workerClaim", json!({})).await, Value::Null);
    }
    world.enqueue(CONVERSATION, "telegram", "next").await;
    world.reconcile().await;
    assert_eq!(spare.own("workerClaim", json!({})).await, Value::Null);
    assert_eq!(world.worker_row("spare").await["status"], "draining", "no conversation waits for this image");
}

#[tokio::test]
async fn an_image_that_could_not_restore_its_files_claims_nothing_and_replaces_no_snapshot() {
    let world = World::new().await;
    let kept = image_that_has_answered(&world, "w").await.upload_snapshot("manual", b"files").await;
    world.enqueue(CONVERSATION, "telegram", "next").await;
    let without_files = world.image("unlucky", Some(CONVERSATION)).await;
    assert_eq!(
        without_files.latest().await["snapshotId"],
        kept["snapshotId"],
        "the image never downloads it"
    );
    assert_eq!(without_files.own("workerClaim", json!({})).await, Value::Null);
    assert_eq!(world.worker_row("unlucky").await["status"], "draining");
    assert_eq!(without_files.own("workerControlState", json!({})).await, json!({"shouldStop": true}));
    let args = json!({"workerId": "unlucky", "reason": "drain"});
    let (_, answer) = without_files.call("workerPrepareSnapshotUpload", args).await;
    assert!(answer["errorMessage"].as_str().unwrap().contains("no new files"), "{answer}");
    assert_eq!(world.worker_row("unlucky").await["status"], "stopping");

    let successor = world.image("successor", Some(CONVERSATION)).await;
    assert_eq!(successor.restore().await["snapshotId"], kept["snapshotId"]);
    let job = successor.claim().await;
    assert_eq!(job["payload"]["messageText"], "next");
    successor.of(&job, "workerComplete", json!({})).await;
    world.enqueue(CONVERSATION, "telegram", "and the next").await;
    assert_eq!(successor.claim().await["payload"]["messageText"], "and the next");
}

#[tokio::test]
async fn a_spare_image_claims_a_conversation_without_a_snapshot_before_it_drains() {
    let world = World::new().await;
    image_that_has_answered(&world, "w").await.upload_snapshot("manual", b"files").await;
    for conversation in [CONVERSATION, "one", "two"] {
        world.enqueue(conversation, "telegram", "next").await;
    }
    let spare = world.image("spare", None).await;
    let claimed = spare.own("workerClaim", json!({})).await;
    assert_ne!(claimed["conversationId"], CONVERSATION);
    assert_eq!(spare.own("workerClaim", json!({"conversationId": CONVERSATION})).await, Value::Null);
    assert_eq!(world.worker_row("spare").await["status"], "active", "the image has a message to run");
}

#[tokio::test]
async fn an_image_with_a_quiet_conversation_stops_when_other_conversations_wait() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    let key = af_store::conversation_key(&af_domain::ids::ConversationId::parse(CONVERSATION).unwrap());
    let request_switch = || async {
        let owned = world.app.store.conversation(&key, true).await.unwrap().unwrap();
        world.app.store.ask_to_switch_if_owned(&owned, true).await.unwrap();
    };
    let control_state = || image.own("workerControlState", json!({}));
    world.advance(Policies::default().scaling.switch_after_quiet);
    assert_eq!(control_state().await, json!({"shouldStop": false}), "no switch is requested");
    request_switch().await;
    assert_eq!(control_state().await, json!({"shouldStop": false}), "no other conversation waits");
    world.enqueue("another", "telegram", "hello").await;
    request_switch().await;
    assert_eq!(control_state().await, json!({"shouldStop": true}));
    image.upload_snapshot("drain", b"files").await;
    assert_eq!(world.worker_row("w").await["status"], "stopping");
}

#[tokio::test]
async fn an_image_is_stopping_when_its_manual_snapshot_is_finalized() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    let prepared = image.prepare("manual").await;
    assert_eq!(world.worker_row("w").await["status"], "active", "the snapshot is not uploaded yet");
    image.post(&prepared["uploadUrl"], b"files".to_vec()).await;
    for _ in 0..2 {
        assert_eq!(image.finalize(&prepared, b"files").await, true, "also when the call is repeated");
        let row = world.worker_row("w").await;
        assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(false)));
    }
    assert_eq!(world.worker_row("w").await["lastSnapshotId"], prepared["snapshotId"]);
    assert_eq!(restored_by_successor(&world).await["snapshotId"], prepared["snapshotId"]);
    world.reconcile().await;
    assert_eq!(world.worker_row("w").await["status"], "stopped");
}

#[tokio::test]
async fn an_image_that_prepares_a_signal_snapshot_claims_nothing_more() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    let prepared = image.prepare("signal").await;
    world.enqueue(CONVERSATION, "telegram", "while it drains").await;
    assert_eq!(image.own("workerClaim", json!({"conversationId": CONVERSATION})).await, Value::Null);
    image.post(&prepared["uploadUrl"], b"files".to_vec()).await;
    assert_eq!(image.finalize(&prepared, b"files").await, true);
    assert_eq!(world.worker_row("w").await["status"], "stopping");
    let successor = world.image("successor", Some(CONVERSATION)).await;
    successor.restore().await;
    assert_eq!(successor.own("workerClaim", json!({})).await["payload"]["messageText"], "while it drains");
}

#[tokio::test]
async fn an_image_that_prepares_a_signal_snapshot_hands_back_its_message() {
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
    let successor = world.image("successor", Some(CONVERSATION)).await;
    assert_eq!(successor.restore().await["snapshotId"], prepared["snapshotId"]);
    assert_eq!(successor.claim().await["messageId"], job["messageId"]);
}

#[tokio::test]
async fn an_image_whose_upload_fails_is_stopping_and_its_snapshot_is_missed() {
    for reason in ["manual", "signal"] {
        let world = World::new().await;
        let image = image_that_has_answered(&world, "w").await;
        let prepared = image.prepare(reason).await;
        for _ in 0..2 {
            let args = json!({"snapshotId": prepared["snapshotId"], "error": "disk"});
            assert_eq!(image.own("workerFailSnapshotUpload", args).await, true);
            let row = world.worker_row("w").await;
            assert_eq!(
                (&row["status"], &row["snapshotMissed"]),
                (&json!("stopping"), &json!(true)),
                "{reason}"
            );
        }
        let rows = world.items().await;
        let row = rows.iter().find(|row| row["id"]["S"] == prepared["snapshotId"]).unwrap();
        assert_eq!(row["er"]["S"], "disk", "the error is stored as the image reported it");
        assert_eq!(restored_by_successor(&world).await, Value::Null, "the conversation has no snapshot");
    }
}

#[tokio::test]
async fn a_snapshot_after_the_last_claim_counts_as_the_final_snapshot() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    let prepared = image.prepare("manual").await;
    image.post(&prepared["uploadUrl"], b"files".to_vec()).await;
    // Reconcile drains the idle worker before it finalizes its snapshot.
    world.advance(Policies::default().scaling.idle_timeout);
    world.reconcile().await;
    assert_eq!(world.worker_row("w").await["status"], "draining");
    assert_eq!(image.finalize(&prepared, b"files").await, true);
    let row = world.worker_row("w").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(false)));
}

#[tokio::test]
async fn an_image_that_is_drained_is_stopping_after_its_drain_snapshot() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    world.advance(Policies::default().scaling.idle_timeout);
    world.reconcile().await;
    assert_eq!(image.own("workerControlState", json!({})).await, json!({"shouldStop": true}));
    image.upload_snapshot("drain", b"files").await;
    let row = world.worker_row("w").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(false)));
}

#[tokio::test]
async fn a_stale_image_is_stopping_after_its_drain_snapshot_before_reconcile_drains_it() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    world.advance(Policies::default().lease.stale_after);
    assert_eq!(image.own("workerControlState", json!({})).await, json!({"shouldStop": true}));
    assert_eq!(world.worker_row("w").await["status"], "active");
    image.upload_snapshot("drain", b"files").await;
    let row = world.worker_row("w").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(false)));
}

#[tokio::test]
async fn an_image_without_a_claim_has_no_new_files_and_is_stopping_at_once() {
    let world = World::new().await;
    world.enqueue(CONVERSATION, "telegram", "hello").await;
    // Before its first claim, an image does not send the conversation for which it was started.
    for (id, conversation, args) in [
        ("w", Some(CONVERSATION), json!({"conversationId": CONVERSATION})),
        ("unnamed", Some(CONVERSATION), json!({})),
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
    let successor = world.image("successor", None).await;
    assert_eq!(successor.own("workerClaim", json!({})).await["conversationId"], CONVERSATION);
}

#[tokio::test]
async fn an_image_that_has_lost_its_conversation_replaces_no_snapshot() {
    let world = World::new().await;
    let image = image_that_has_answered(&world, "w").await;
    let prepared = image.prepare("manual").await;
    image.post(&prepared["uploadUrl"], b"old files".to_vec()).await;
    let policies = Policies::default();
    world.advance(policies.lease.stale_after);
    world.reconcile().await;
    world.advance(policies.scaling.drain_timeout);
    world.reconcile().await;
    assert_eq!(restored_by_successor(&world).await, Value::Null);
    assert_eq!(image.finalize(&prepared, b"old files").await, false);
    let rows = world.items().await;
    assert!(!rows.iter().any(|row| row["sk"]["S"] == "S~"), "the conversation has no latest snapshot");
}
