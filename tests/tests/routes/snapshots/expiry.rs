//! The retention of snapshots.

use af_app::App;
use af_app::files::snapshots::expire;
use af_app::files::sweep::Expired;
use af_domain::ids::SnapshotId;
use af_domain::snapshot::ABANDONED_AFTER;
use af_domain::time::Millis;

use crate::snapshots::{TestWorker, World};

async fn run_expiry(world: &World) -> Expired {
    let effects = world.bundle.restricted_boot("effects");
    expire(&App::from_boot(&effects).unwrap(), &effects.objects().unwrap()).await.unwrap()
}

async fn upload_after_another_message(world: &World, worker: &TestWorker<'_>, bytes: &[u8]) -> String {
    world.enqueue("more").await;
    worker.work().await;
    worker.upload_snapshot("manual", bytes).await
}

#[tokio::test]
pub async fn after_eight_days_the_latest_snapshot_is_kept_and_replaced_ones_have_expired() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let first = worker.upload_snapshot("manual", b"first").await;
    let second = upload_after_another_message(&world, &worker, b"second").await;
    assert_eq!(run_expiry(&world).await, Expired::default(), "no snapshot has expired yet");
    world.advance(Millis::from_days(8));
    assert_eq!(run_expiry(&world).await, Expired { gone: 1, failed: 0 });
    assert_eq!((world.status_of(&first).await, world.is_in_bucket(&first).await), ("expired", false));
    assert_eq!((world.status_of(&second).await, world.is_in_bucket(&second).await), ("ready", true));
    assert_eq!(worker.restored().await, b"second");
    assert_eq!(run_expiry(&world).await, Expired::default(), "nothing is left to do");

    let third = upload_after_another_message(&world, &worker, b"third").await;
    assert_eq!(
        run_expiry(&world).await,
        Expired { gone: 1, failed: 0 },
        "the second snapshot is replaced and old enough"
    );
    assert!(!world.is_in_bucket(&second).await && world.is_in_bucket(&third).await);
}

#[tokio::test]
pub async fn uploads_that_were_not_finalized_or_failed_are_cleaned_up() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let abandoned = worker.prepare("manual", b"abandoned").await;
    assert_eq!(world.put(&abandoned, b"abandoned").await, 200);
    let failed = worker.prepare("manual", b"failed").await;
    assert_eq!(world.put(&failed, b"failed").await, 200);
    let error = serde_json::json!({"error": "no"});
    worker.post(&format!("snapshots/{}/fail", failed.id), error).await.body_of(200);
    world.advance(Millis::new(ABANDONED_AFTER.as_millis() - 1));
    assert_eq!(run_expiry(&world).await, Expired::default(), "the upload may still be finalized");
    world.advance(Millis::new(1));
    assert_eq!(run_expiry(&world).await, Expired { gone: 2, failed: 0 });
    for upload in [abandoned, failed] {
        assert_eq!(
            (world.status_of(&upload.id).await, world.is_in_bucket(&upload.id).await),
            ("failed", false)
        );
        assert_eq!(worker.finalize(&upload).await.problem(), (409, "conflict"));
    }
}

#[tokio::test]
async fn a_sweep_that_died_between_row_and_object_is_finished_by_the_next() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let first = worker.upload_snapshot("manual", b"first").await;
    upload_after_another_message(&world, &worker, b"second").await;
    world.advance(Millis::from_days(8));
    let now = world.app.now();
    let before = world.app.store.snapshot(&SnapshotId::parse(&*first).unwrap()).await.unwrap().unwrap();
    world.app.store.expire_if_unchanged(&before, &before.expire(), now).await.unwrap();
    assert!(world.is_in_bucket(&first).await, "the sweep died before it deleted the object");
    assert_eq!(run_expiry(&world).await, Expired { gone: 1, failed: 0 });
    assert!(!world.is_in_bucket(&first).await);
    assert_eq!(run_expiry(&world).await, Expired::default());
}
