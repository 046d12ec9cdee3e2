//! A new image in the provider config: workers with the old image are replaced, idle workers first.

use af_app::pool::provider::configure;
use af_app::pool::provider::readiness::readiness;
use af_domain::time::Millis;
use af_domain::worker::{DrainReason, WorkerStatus};

use crate::providers::deployment::{Pool, config};

const MINUTE: Millis = Millis::from_secs(60);

/// The images of all existing machines.
async fn images(pool: &Pool) -> Vec<String> {
    let mut images: Vec<_> = pool.machines().await.into_iter().map(|m| m.image).collect();
    images.sort();
    images
}

#[tokio::test]
async fn a_new_image_replaces_quiet_workers_and_lets_busy_workers_finish() {
    let pool = Pool::with_work().await;
    pool.run().await;
    let first = pool.machines().await[0].worker_id.clone();
    let row = pool.rows().await.remove(0);
    assert_eq!(row.image.as_deref(), Some("registry.fly.io/workers:1"));
    let volume = row.volume.unwrap();
    assert_eq!(volume.id.as_ref(), Some(&pool.volumes().await[0].volume.volume_id));
    pool.serve(&first).await;

    configure(&pool.app, &config("2").into()).await.unwrap();
    let waits = pool.run().await.waits;
    assert!(waits[0].waits_for.contains("a quiet moment for its replacement"), "{waits:?}");
    pool.enqueue("other").await;
    pool.run().await;
    assert_eq!(images(&pool).await, ["registry.fly.io/workers:1", "registry.fly.io/workers:2"]);
    let mixed = "machines run 2 images: registry.fly.io/workers:1, registry.fly.io/workers:2";
    assert_eq!(pool.run().await.warnings, [mixed]);
    assert_eq!(readiness(&pool.app, None).await.unwrap().warnings, [mixed]);
    let second = pool.machines().await.into_iter().find(|m| m.worker_id != first).unwrap().worker_id;
    pool.serve(&second).await;

    pool.advance(MINUTE);
    pool.sign_of_life(&first).await;
    pool.run().await;
    let rows = pool.rows().await;
    let status = |id| &rows.iter().find(|w| &w.id == id).unwrap().status;
    let is_outdated = matches!(status(&first), WorkerStatus::Draining { reason: DrainReason::Outdated, .. });
    assert!(is_outdated, "{:?}", status(&first));
    assert_eq!(status(&second), &WorkerStatus::Active);
    pool.until("the old worker is gone, without a snapshot", async |pool| {
        pool.sign_of_life(&second).await;
        images(pool).await == ["registry.fly.io/workers:2"]
    })
    .await;
    pool.enqueue("talk").await;
    pool.run().await;
    assert_eq!(images(&pool).await, ["registry.fly.io/workers:2", "registry.fly.io/workers:2"]);
    assert_eq!(pool.run().await.warnings, [] as [String; 0]);
}

#[tokio::test]
async fn a_new_app_in_the_config_tears_workers_down_in_the_old_app() {
    let pool = Pool::with_work().await;
    pool.world.fly.add_app("elsewhere", "org");
    pool.run().await;
    let first = pool.machines().await[0].worker_id.clone();
    pool.serve(&first).await;
    let mut moved = config("1");
    moved.app_name = Some("elsewhere".to_owned());
    configure(&pool.app, &moved.into()).await.unwrap();
    pool.run().await;
    assert_eq!(pool.machines().await.len(), 1, "the machine in the old app does not count as missing");
    pool.until("machine and volume are gone", async |pool| {
        pool.machines().await.is_empty() && pool.volumes().await.is_empty()
    })
    .await;
    assert_eq!(pool.worker_ids().await, [] as [String; 0]);
}
