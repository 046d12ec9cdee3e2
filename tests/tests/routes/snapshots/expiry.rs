//! What goes, when, and what stays.

use af_app::files::snapshots::expire;
use af_app::files::sweep::Expired;
use af_domain::ids::SnapshotId;
use af_domain::snapshot::ABANDONED_AFTER;
use af_domain::time::Millis;

use crate::snapshots::{Hands, World};

async fn expired(world: &World) -> Expired {
    expire(&world.app, &world.objects).await.unwrap()
}

async fn keep_after_another_message(world: &World, worker: &Hands<'_>, bytes: &[u8]) -> String {
    world.enqueue("more").await;
    worker.work().await;
    worker.keep("manual", bytes).await
}

#[tokio::test]
async fn whoever_comes_back_after_eight_days_gets_the_latest_one_and_only_the_replaced_ones_are_gone() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let first = worker.keep("manual", b"first").await;
    let second = keep_after_another_message(&world, &worker, b"second").await;
    assert_eq!(expired(&world).await, Expired::default(), "their time has not come");
    world.advance(Millis::from_days(8));
    assert_eq!(expired(&world).await, Expired { gone: 1, failed: 0 });
    assert_eq!((world.status_of(&first).await, world.is_in_bucket(&first).await), ("expired", false));
    assert_eq!((world.status_of(&second).await, world.is_in_bucket(&second).await), ("ready", true));
    assert_eq!(worker.restored().await, b"second");
    assert_eq!(expired(&world).await, Expired::default(), "nothing is left to do");

    let third = keep_after_another_message(&world, &worker, b"third").await;
    assert_eq!(expired(&world).await, Expired { gone: 1, failed: 0 }, "replaced, and old enough already");
    assert!(!world.is_in_bucket(&second).await && world.is_in_bucket(&third).await);
}

#[tokio::test]
async fn uploads_that_were_not_finalized_or_failed_are_cleaned_up() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let abandoned = worker.prepare("manual", b"abandoned").await;
    assert_eq!(world.put(&abandoned, b"abandoned").await, 200);
    let failed = worker.prepare("manual", b"failed").await;
    assert_eq!(world.put(&failed, b"failed").await, 200);
    let error = serde_json::json!({"error": "no"});
    worker.post(&format!("snapshots/{}/fail", failed.id), error).await.body_of(200);
    world.advance(Millis::new(ABANDONED_AFTER.as_millis() - 1));
    assert_eq!(expired(&world).await, Expired::default(), "it may still come");
    world.advance(Millis::new(1));
    assert_eq!(expired(&world).await, Expired { gone: 2, failed: 0 });
    for upload in [abandoned, failed] {
        assert_eq!(
            (world.status_of(&upload.id).await, world.is_in_bucket(&upload.id).await),
            ("failed", false)
        );
        assert_eq!(worker.finalize(&upload).await.problem(), (409, "conflict"));
    }
}

#[tokio::test]
async fn a_run_that_died_between_row_and_object_is_finished_by_the_next() {
    let world = World::new().await;
    let worker = world.worker_after_one_message("w").await;
    let first = worker.keep("manual", b"first").await;
    keep_after_another_message(&world, &worker, b"second").await;
    world.advance(Millis::from_days(8));
    let now = world.app.now();
    let before = world.app.store.snapshot(&SnapshotId::parse(&*first).unwrap()).await.unwrap().unwrap();
    world.app.store.expire_if_unchanged(&before, &before.expire(), now).await.unwrap();
    assert!(world.is_in_bucket(&first).await, "this is where it died");
    assert_eq!(expired(&world).await, Expired { gone: 1, failed: 0 });
    assert!(!world.is_in_bucket(&first).await);
    assert_eq!(expired(&world).await, Expired::default());
}
