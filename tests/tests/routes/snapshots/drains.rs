//! A drain waits for the snapshot, for so long.

use af_domain::policy::Policies;
use af_domain::time::Millis;
use serde_json::json;

use crate::snapshots::{Hands, TALK, World, done};

/// Lets the worker's idle timeout pass, and reconcile tell it to leave.
async fn drain_by_idleness(world: &World) {
    world.advance(Policies::default().scaling.idle_timeout);
    assert_eq!(done(&world.reconcile().await), ["drain"], "it is told, and nothing more");
}

async fn heir(world: &World) -> Hands<'_> {
    let heir = world.worker("heir").await;
    heir.work().await;
    heir
}

#[tokio::test]
async fn new_work_waits_for_the_snapshot_of_the_worker_that_leaves() {
    let world = World::new().await;
    let leaving = world.worker_after_one_message("leaving").await;
    drain_by_idleness(&world).await;
    world.enqueue("while it leaves").await;
    let other = world.worker("heir").await;
    assert!(other.poll(json!({})).await["job"].is_null(), "nobody gets it yet");
    let report = world.reconcile().await;
    assert!(done(&report).is_empty() && report.unserved == 0, "no worker is wanted for it");
    assert!(report.waits.iter().any(|w| w.waits_for == "its final snapshot"), "{:?}", report.waits);

    let told = leaving.poll(json!({"conversationId": TALK})).await;
    assert_eq!((&told["control"]["shouldStop"], told["job"].is_null()), (&json!(true), true));
    leaving.keep("drain", b"files").await;
    let row = world.worker_row("leaving").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(false)));
    assert!(row["assignment"].is_null() && row["lastClaimAt"].is_u64());
    other.work().await;
    assert_eq!(other.restored().await, b"files");
    assert_eq!(done(&world.reconcile().await), ["teardown"]);
    assert_eq!(world.worker_row("leaving").await["status"], "stopped");
}

#[tokio::test]
async fn a_worker_that_never_answers_goes_at_its_deadline_and_its_snapshot_is_missed() {
    let world = World::new().await;
    let silent = world.worker_after_one_message("silent").await;
    silent.keep("manual", b"earlier").await;
    world.enqueue("one more").await;
    silent.work().await;
    drain_by_idleness(&world).await;
    let drain_timeout = Policies::default().scaling.drain_timeout;
    world.advance(Millis::new(drain_timeout.as_millis() - 1));
    assert!(done(&world.reconcile().await).is_empty(), "it has its time");
    world.advance(Millis::new(1));
    assert_eq!(done(&world.reconcile().await), ["finish_drain", "teardown"]);
    let row = world.worker_row("silent").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopped"), &json!(true)));
    world.enqueue("hello again").await;
    assert_eq!(heir(&world).await.restored().await, b"earlier", "the last good one");
}

#[tokio::test]
async fn a_final_snapshot_that_fails_frees_the_conversation_at_once() {
    let world = World::new().await;
    let leaving = world.worker_after_one_message("leaving").await;
    drain_by_idleness(&world).await;
    let upload = leaving.prepare("drain", b"files").await;
    for _ in 0..2 {
        leaving.post(&format!("snapshots/{}/fail", upload.id), json!({"error": "disk"})).await.body_of(200);
    }
    let row = world.worker_row("leaving").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(true)));
    world.enqueue("next").await;
    assert_eq!(heir(&world).await.latest().await.status.as_u16(), 204);
}

#[tokio::test]
async fn a_worker_with_nothing_to_keep_says_so_and_nobody_waits() {
    let world = World::new().await;
    let leaving = world.worker_after_one_message("leaving").await;
    drain_by_idleness(&world).await;
    leaving.poll(json!({"conversationId": TALK, "load": 1, "release": true})).await;
    assert_eq!(
        world.worker_row("leaving").await["status"],
        "draining",
        "it has not said that it has nothing"
    );
    leaving.poll(json!({"conversationId": TALK, "load": 1, "release": true, "discard": true})).await;
    let row = world.worker_row("leaving").await;
    assert_eq!((&row["status"], &row["snapshotMissed"]), (&json!("stopping"), &json!(false)));
}

#[tokio::test]
async fn a_worker_that_never_claimed_owes_nothing() {
    let world = World::new().await;
    world.worker("idle").await;
    world.advance(Policies::default().scaling.idle_timeout);
    assert_eq!(done(&world.reconcile().await), ["drain", "finish_drain", "teardown"]);
    assert_eq!(world.worker_row("idle").await["snapshotMissed"], false);
}

#[tokio::test]
async fn a_snapshot_that_was_made_before_the_drain_is_enough_when_nothing_was_claimed_since() {
    let world = World::new().await;
    world.worker_after_one_message("w").await.keep("manual", b"files").await;
    world.advance(Policies::default().scaling.idle_timeout);
    assert_eq!(done(&world.reconcile().await), ["drain", "finish_drain", "teardown"]);
    let row = world.worker_row("w").await;
    assert_eq!(row["snapshotMissed"], false);
    assert!(row["lastSnapshotId"].is_string());
}

#[tokio::test]
async fn a_worker_whose_machine_is_told_to_stop_drains_by_announcing_it() {
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
async fn an_upload_whose_finalization_never_comes_is_missed_at_the_deadline_and_cleaned_up() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    drain_by_idleness(&world).await;
    let upload = worker.prepare("drain", b"files").await;
    assert_eq!(world.put(&upload, b"files").await, 200);
    world.advance(Policies::default().scaling.drain_timeout);
    assert_eq!(done(&world.reconcile().await), ["finish_drain", "teardown"]);
    assert_eq!(worker.finalize(&upload).await.problem(), (409, "stale_snapshot"));
    assert_eq!(world.worker_row("w").await["snapshotMissed"], true);
}
