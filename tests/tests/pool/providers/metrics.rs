//! The metrics behind the alarms of the pool: each failure of the pool raises the metric that its alarm watches.

use std::sync::Arc;

use af_app::App;
use af_app::pool::provider;
use af_app::pool::reconcile::reconcile;
use af_domain::time::Millis;
use af_emulator_aws::{Faults, WireRequest};
use af_emulator_fly::{Action, Fault};
use af_providers::FlyConfig;
use af_runtime::metric::Metric;
use af_store::keys;
use af_tests::metrics::RecordedMetrics;
use aws_smithy_types::retry::RetryConfig;
use serde_json::json;

use crate::providers::deployment::Pool;

const MINUTE: Millis = Millis::from_secs(60);
/// The threshold of `LongWaitAlarm`.
const LONG_WAIT: Millis = Millis::from_secs(300);

#[tokio::test]
async fn a_provider_that_starts_no_worker_raises_the_metrics_of_its_alarms() {
    let pool = Pool::with_work().await;
    pool.world.fly.fault(Action::CreateMachine, &Fault::status(503), 3);
    let metrics = RecordedMetrics::begin();
    for _ in 0..3 {
        assert!(metrics.of(Metric::SpawnCoolDown).is_empty(), "three failures begin a cool-down");
        pool.advance(MINUTE);
        pool.run().await;
    }
    pool.run().await;
    assert_eq!(metrics.of(Metric::SpawnFailed), [1, 1, 1]);
    assert_eq!(metrics.of(Metric::SpawnCoolDown), [1]);
    assert_eq!(metrics.of(Metric::ProviderError).len(), 3);
    assert_eq!(metrics.of(Metric::ConversationsUnserved).last(), Some(&1), "the cool-down starts no worker");
    assert!(metrics.of(Metric::WorkerStarted).is_empty());
    pool.advance(LONG_WAIT);
    pool.run().await;
    let ages = metrics.of(Metric::OldestWaitingAge);
    assert!(ages[0] < LONG_WAIT.as_millis(), "{ages:?}");
    assert!(ages.last().is_some_and(|age| *age > LONG_WAIT.as_millis()), "{ages:?}");
    assert_eq!(metrics.of(Metric::WorkerStarted), [1], "the provider has recovered");
    assert_eq!(metrics.of(Metric::ReconcileDuration).len(), 5);
}

#[tokio::test]
async fn a_rate_limit_of_the_provider_is_a_metric_of_its_own() {
    let pool = Pool::with_work().await;
    let refused = Fault::Refused { status: 429, error: "slow down".into(), retry_after_secs: None };
    pool.world.fly.fault(Action::CreateMachine, &refused, 1_000);
    let metrics = RecordedMetrics::begin();
    pool.run().await;
    assert!(!metrics.of(Metric::ProviderThrottled).is_empty(), "{:?}", metrics.all());
    assert!(
        metrics.of(Metric::SpawnCoolDown).is_empty(),
        "a provider that refuses calls for a time has not failed"
    );
}

#[tokio::test]
async fn a_reconcile_that_lacks_its_provider_config_is_incomplete() {
    let pool = Pool::with_work().await;
    let metrics = RecordedMetrics::begin();
    pool.run().await;
    assert!(metrics.of(Metric::ReconcileIncomplete).is_empty(), "{:?}", metrics.all());
    let incomplete = FlyConfig { image: None, ..crate::providers::deployment::config("1") };
    provider::configure(&pool.app, &incomplete.into()).await.unwrap();
    pool.advance(MINUTE);
    pool.run().await;
    assert_eq!(metrics.of(Metric::ReconcileIncomplete), [1]);
}

#[tokio::test]
async fn an_unreadable_row_of_a_worker_and_a_failed_removal_raise_their_metrics() {
    let pool = Pool::with_work().await;
    pool.run().await;
    let worker = pool.rows().await.remove(0).id;
    let metrics = RecordedMetrics::begin();
    pool.world.fly.fault(Action::DestroyMachine, &Fault::status(500), 1_000);
    // A worker that never polls is given up.
    for _ in 0..20 {
        pool.advance(MINUTE);
        pool.run().await;
    }
    assert!(!metrics.of(Metric::TeardownFailed).is_empty(), "{:?}", metrics.all());
    assert!(metrics.of(Metric::WorkerUnreadable).is_empty());
    let key = keys::worker(&worker);
    let table = &pool.bundle.template.tables[0].name;
    let broken = json!({
        "TableName": table, "Key": {"pk": {"S": key.pk}, "sk": {"S": key.sk}},
        "UpdateExpression": "SET #name = :value", "ExpressionAttributeNames": {"#name": "st"},
        "ExpressionAttributeValues": {":value": {"S": "a status of a later version"}},
    });
    assert_eq!(pool.bundle.aws.engine().call("UpdateItem", broken).await.status, 200);
    pool.run().await;
    assert!(!metrics.of(Metric::WorkerUnreadable).is_empty(), "{:?}", metrics.all());
}

/// Refuses the reads of the ready index, as DynamoDB does when a partition of an index is hot.
struct ThrottledIndex;

impl Faults for ThrottledIndex {
    fn before(&self, request: &WireRequest) -> af_emulator_aws::Fault {
        if request.body["IndexName"] != keys::READY_INDEX {
            return af_emulator_aws::Fault::None;
        }
        let kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
        af_emulator_aws::Fault::Respond { status: 400, body: json!({"__type": kind, "message": "too hot"}) }
    }
}

#[tokio::test]
async fn a_throttled_index_fails_the_function_and_the_wait_is_a_metric_of_the_next_run() {
    let pool = Pool::with_work().await;
    let mut boot = pool.bundle.restricted_boot("reconcile");
    let aws = pool.bundle.aws.clone().with_faults(Arc::new(ThrottledIndex));
    boot.sdk = aws.sdk_config(RetryConfig::disabled());
    let throttled = App::from_boot(&boot).unwrap();
    let metrics = RecordedMetrics::begin();
    let failed = Box::pin(reconcile(&throttled)).await;
    assert!(failed.is_err(), "ReconcileErrorsAlarm counts the failed call of the function");
    pool.advance(LONG_WAIT);
    pool.advance(MINUTE);
    pool.run().await;
    let ages = metrics.of(Metric::OldestWaitingAge);
    assert_eq!(ages, [LONG_WAIT.as_millis() + MINUTE.as_millis()], "LongWaitAlarm counts it");
}
