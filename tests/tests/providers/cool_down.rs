//! A provider that starts no machines is left in peace for a while, and used again when it has recovered.

use af_domain::time::Millis;
use af_local::fly::{Action, Fault};

use crate::deployment::Pool;

const MINUTE: Millis = Millis::from_secs(60);

/// Runs a minute apart; for each, whether a spawn was tried.
async fn minutes(pool: &Pool, count: usize) -> Vec<bool> {
    let mut tried = Vec::new();
    for _ in 0..count {
        let report = pool.run().await;
        tried.push(report.actions.iter().any(|a| a.action == "spawn"));
        pool.pass(MINUTE);
    }
    tried
}

#[tokio::test]
async fn a_provider_that_fails_is_tried_less_and_less_and_used_again_when_it_has_recovered() {
    let pool = Pool::with_work().await;
    pool.world.fly.fault(Action::CreateMachine, &Fault::status(503), 6);
    assert_eq!(minutes(&pool, 3).await, [true, true, true]);
    // A minute, two minutes, four: each ends with one try.
    let expected = [true, false, true, false, false, false, true];
    assert_eq!(minutes(&pool, expected.len()).await, expected);

    let report = pool.run().await;
    let wait = report.waits.iter().find(|w| w.subject == "spawning").unwrap();
    assert_eq!(wait.waits_for, "the provider, which failed 6 times in a row");
    assert!(wait.until.unwrap() > pool.app.now().as_millis());
    assert_eq!(report.unserved, 1);
    let kept = af_app::reconcile::last_report(&pool.app).await.unwrap().unwrap();
    assert!(kept.waits.iter().any(|w| w.subject == "spawning"), "an operator sees it");

    pool.until("the provider is used again", async |pool| pool.machines().await.len() == 1).await;
    pool.enqueue("other").await;
    let report = pool.run().await;
    let spawns = report.actions.iter().any(|a| a.action == "spawn");
    assert!(!spawns, "that a machine was made says nothing of its worker: {report:?}");
    pool.serve(&pool.machines().await[0].worker_id).await;
    let report = pool.run().await;
    assert!(report.actions.iter().any(|a| a.action == "spawn" && a.outcome == "done"), "{report:?}");
}

#[tokio::test]
async fn a_missing_prerequisite_is_no_failure_of_the_provider() {
    let pool = Pool::with_work().await;
    let mut without = crate::deployment::config("1");
    without.region = None;
    af_app::provider::configure(&pool.app, &without).await.unwrap();
    for _ in 0..5 {
        assert_eq!(pool.run().await.errors, ["Missing providerConfig.region."]);
    }
    af_app::provider::configure(&pool.app, &crate::deployment::config("1")).await.unwrap();
    pool.run().await;
    assert_eq!(pool.machines().await.len(), 1, "at once");
}
