//! A drain waits for the final snapshot until its deadline.

use af_domain::policy::Policies;
use af_domain::time::Millis;
use serde_json::json;

use crate::snapshots::{CONVERSATION, TestWorker, World, actions_done};

/// Advances the time by the idle timeout, so that reconcile drains the worker.
async fn drain_after_idle_timeout(world: &World) {
    world.advance(Policies::default().scaling.idle_timeout);
    assert_eq!(actions_done(&world.reconcile().await), ["drain"], "reconcile only starts the drain");
}

async fn next_worker(world: &World) -> TestWorker<'_> {
    let next_worker = world.worker("next-worker").await;
    next_worker.work().await;
    next_worker
}

#[tokio::test]
async fn new_messages_wait_for_the_final_snapshot_of_the_draining_worker() {
    let world = World::new().await;
    let draining = world.worker_after_one_message("draining").await;
    drain_after_idle_timeout(&world).await;
    world.enqueue("while it drains").await;
    let other = world.worker("next-worker").await;
    assert!(other.poll(json!({})).await["job"].is_null(), "no worker may claim the message yet");
    let report = world.reconcile().await;
    assert!(
        actions_done(&report).is_empty() && report.unserved == 0,
        "the conversation is not in the demand"
    );
    assert!(report.waits.iter().any(|w| w.waits_for == "its final snapshot"), "{:?}", report.waits);

    let polled = draining.poll(json!({"conversationId": CONVERSATION})).await;
    assert_eq!((&polled["control"]["shouldStop"], polled["job"].is_null()), (&json!(true), true));
    draining.upload_snapshot("drain", b"files").await;
    let row = world.worker_row("draining").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(false)));
    assert!(row["assignment"].is_null() && row["lastClaimAt"].is_u64());
    other.work().await;
    assert_eq!(other.restored().await, b"files");
    assert_eq!(actions_done(&world.reconcile().await), ["teardown"]);
    assert_eq!(world.worker_row("draining").await["status"], "stopped");
}

#[tokio::test]
async fn a_silent_worker_stops_at_its_drain_deadline_and_its_snapshot_is_missed() {
    let world = World::new().await;
    let silent = world.worker_after_one_message("silent").await;
    silent.upload_snapshot("manual", b"earlier").await;
    world.enqueue("one more").await;
    silent.work().await;
    drain_after_idle_timeout(&world).await;
    let drain_timeout = Policies::default().scaling.drain_timeout;
    world.advance(Millis::new(drain_timeout.as_millis() - 1));
    assert!(actions_done(&world.reconcile().await).is_empty(), "the drain deadline has not come");
    world.advance(Millis::new(1));
    assert_eq!(actions_done(&world.reconcile().await), ["finish_drain", "teardown"]);
    let row = world.worker_row("silent").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopped"), &json!(true)));
    world.enqueue("hello again").await;
    assert_eq!(next_worker(&world).await.restored().await, b"earlier", "the last snapshot");
}

#[tokio::test]
async fn a_failed_final_snapshot_frees_the_conversation_at_once() {
    let world = World::new().await;
    let draining = world.worker_after_one_message("draining").await;
    drain_after_idle_timeout(&world).await;
    let upload = draining.prepare("drain", b"files").await;
    for _ in 0..2 {
        draining.post(&format!("snapshots/{}/fail", upload.id), json!({"error": "disk"})).await.body_of(200);
    }
    let row = world.worker_row("draining").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(true)));
    world.enqueue("next").await;
    assert_eq!(next_worker(&world).await.latest().await.status.as_u16(), 204);
}

#[tokio::test]
async fn a_draining_worker_that_discards_its_files_stops_without_a_snapshot() {
    let world = World::new().await;
    let draining = world.worker_after_one_message("draining").await;
    drain_after_idle_timeout(&world).await;
    draining.poll(json!({"conversationId": CONVERSATION, "load": 1, "release": true})).await;
    assert_eq!(
        world.worker_row("draining").await["status"],
        "draining",
        "the worker has not discarded its files"
    );
    draining.poll(json!({"conversationId": CONVERSATION, "load": 1, "release": true, "discard": true})).await;
    let row = world.worker_row("draining").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(false)));
}

#[tokio::test]
async fn a_worker_that_never_claimed_stops_without_a_snapshot() {
    let world = World::new().await;
    world.worker("idle").await;
    world.advance(Policies::default().scaling.idle_timeout);
    assert_eq!(actions_done(&world.reconcile().await), ["drain", "finish_drain", "teardown"]);
    assert_eq!(world.worker_row("idle").await["snapshotMissed"], false);
}

#[tokio::test]
async fn a_snapshot_after_the_last_claim_counts_as_the_final_snapshot() {
    let world = World::new().await;
    world.worker_after_one_message("w").await.upload_snapshot("manual", b"files").await;
    world.advance(Policies::default().scaling.idle_timeout);
    assert_eq!(actions_done(&world.reconcile().await), ["drain", "finish_drain", "teardown"]);
    let row = world.worker_row("w").await;
    assert_eq!(row["snapshotMissed"], false);
    assert!(row["lastSnapshotId"].is_string());
}

#[tokio::test]
async fn a_snapshot_with_the_reason_signal_starts_the_drain() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let upload = worker.prepare("signal", b"files").await;
    let row = world.worker_row("w").await;
    assert_eq!((&row["status"], &row["drainReason"]), (&json!("draining"), &json!("signal")));
    assert_eq!(world.put(&upload, b"files").await, 200);
    worker.finalize(&upload).await.body_of(200);
    assert_eq!(world.worker_row("w").await["status"], "stopping");
}

#[tokio::test]
async fn an_upload_that_is_never_finalized_is_missed_at_the_drain_deadline() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    drain_after_idle_timeout(&world).await;
    let upload = worker.prepare("drain", b"files").await;
    assert_eq!(world.put(&upload, b"files").await, 200);
    world.advance(Policies::default().scaling.drain_timeout);
    assert_eq!(actions_done(&world.reconcile().await), ["finish_drain", "teardown"]);
    assert_eq!(worker.finalize(&upload).await.problem(), (409, "stale_snapshot"));
    assert_eq!(world.worker_row("w").await["snapshotMissed"], true);
}
