//! The cool-down: the pool starts no workers while a provider fails, and spawns again after it has recovered.

use af_app::access::worker_token::SIGNING_KEY_REF;
use af_app::queue::{WaitsFor, why};
use af_domain::ids::SecretRef;
use af_domain::time::{Millis, Timestamp};
use af_emulator_fly::{Action, Fault};

use crate::providers::deployment::Pool;

const MINUTE: Millis = Millis::from_secs(60);

/// Runs reconcile once a minute; returns for each run whether it tried a spawn.
async fn spawns_tried(pool: &Pool, count: usize) -> Vec<bool> {
    let mut tried = Vec::new();
    for _ in 0..count {
        let report = pool.run().await;
        tried.push(report.actions.iter().any(|a| a.action == "spawn"));
        pool.advance(MINUTE);
    }
    tried
}

#[tokio::test]
async fn the_cool_down_doubles_while_spawns_fail_and_ends_when_the_provider_has_recovered() {
    let pool = Pool::with_work().await;
    pool.world.fly.fault(Action::CreateMachine, &Fault::status(503), 6);
    assert_eq!(spawns_tried(&pool, 3).await, [true, true, true]);
    // The cool-down lasts one minute, then two, then four. Each ends with one try.
    let expected = [true, false, true, false, false, false, true];
    assert_eq!(spawns_tried(&pool, expected.len()).await, expected);

    let report = pool.run().await;
    let wait = report.waits.iter().find(|w| w.subject == "spawning").unwrap();
    assert_eq!(wait.waits_for, "the provider, which failed 6 times in a row");
    assert!(wait.until.unwrap() > pool.app.now().as_millis());
    assert_eq!(report.unserved, 1);
    let kept = af_app::pool::reconcile::last_report(&pool.app).await.unwrap().unwrap();
    assert!(kept.waits.iter().any(|w| w.subject == "spawning"), "the last report shows the wait");

    pool.until("the provider is used again", async |pool| pool.machines().await.len() == 1).await;
    pool.enqueue("other").await;
    let report = pool.run().await;
    let spawns = report.actions.iter().any(|a| a.action == "spawn");
    assert!(!spawns, "a created machine does not prove that its worker runs: {report:?}");
    pool.serve(&pool.machines().await[0].worker_id).await;
    let report = pool.run().await;
    assert!(report.actions.iter().any(|a| a.action == "spawn" && a.outcome == "done"), "{report:?}");
}

#[tokio::test]
async fn a_message_that_waits_in_a_cool_down_shows_its_end() {
    let pool = Pool::new().await;
    let message = pool.enqueue("talk").await;
    pool.world.fly.fault(Action::CreateMachine, &Fault::status(503), 3);
    for _ in 0..4 {
        pool.run().await;
    }
    let in_cool_down = pool.run().await;
    let until = in_cool_down
        .waits
        .iter()
        .find(|w| w.subject == "spawning")
        .unwrap()
        .until
        .map(Timestamp::from_millis);
    let reported = why(&pool.app, &message).await.unwrap();
    assert_eq!((reported.waits_for, reported.until), (WaitsFor::Provider, until));
    assert!(reported.reason.contains("the provider, which failed 3 times in a row"), "{}", reported.reason);
    pool.advance(until.unwrap().since(pool.app.now()));
    assert_eq!(
        why(&pool.app, &message).await.unwrap().waits_for,
        WaitsFor::NewWorker,
        "the cool-down is over"
    );
}

#[tokio::test]
async fn a_rate_limited_provider_gets_a_cool_down_of_a_minute() {
    let pool = Pool::with_work().await;
    let refused = Fault::Refused { status: 429, error: "slow down".into(), retry_after_secs: None };
    pool.world.fly.fault(Action::CreateMachine, &refused, 1_000);
    pool.run().await;
    let until = pool.app.store.reconcile_state().await.unwrap().paused_until.unwrap();
    for _ in 0..5 {
        pool.advance(Millis::from_secs(2));
        let report = pool.run().await;
        assert!(report.actions.iter().all(|a| a.action != "spawn"), "{report:?}");
        let wait = report.waits.iter().find(|w| w.subject == "spawning").unwrap();
        assert_eq!(wait.until, Some(until.as_millis()));
    }
    assert_eq!((pool.machines().await, pool.volumes().await), (vec![], vec![]));
    assert!(until.since(pool.app.now()) > Millis::from_secs(30), "{until}");
}

#[tokio::test]
async fn a_missing_signing_key_is_reported_with_its_fix_and_no_row_is_written() {
    let pool = Pool::with_work().await;
    let key = SecretRef::parse(SIGNING_KEY_REF).unwrap();
    assert!(pool.app.secrets.delete(&key).await.unwrap());
    for _ in 0..3 {
        let missing = "failed: Missing signing key. Import a 'workerToken.signingKey' secret.";
        let report = pool.run().await;
        assert_eq!(report.actions.iter().map(|a| &*a.outcome).collect::<Vec<_>>(), [missing]);
        assert_eq!(pool.rows().await, [], "no write triggers the next run");
    }
    assert_eq!((pool.machines().await, pool.volumes().await), (vec![], vec![]));
    pool.app.secrets.put(&key, "another".into(), pool.app.now()).await.unwrap();
    pool.run().await;
    assert_eq!(pool.machines().await.len(), 1, "the next run spawns at once");
}

#[tokio::test]
async fn a_missing_prerequisite_does_not_count_as_a_failure_of_the_provider() {
    let pool = Pool::with_work().await;
    let mut without = crate::providers::deployment::config("1");
    without.region = None;
    af_app::pool::provider::configure(&pool.app, &without.into()).await.unwrap();
    for _ in 0..5 {
        assert_eq!(pool.run().await.errors, ["Missing providerConfig.region."]);
    }
    af_app::pool::provider::configure(&pool.app, &crate::providers::deployment::config("1").into())
        .await
        .unwrap();
    pool.run().await;
    assert_eq!(pool.machines().await.len(), 1, "the next run spawns at once");
}
