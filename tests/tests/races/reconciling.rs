//! Changes between the observation and the actions of reconcile.

use std::sync::Arc;
use std::sync::Mutex;

use af_app::pool::provider::configure;
use af_app::pool::reconcile::dry_run;
use af_app::worker::heartbeat;
use af_domain::time::Millis;
use af_emulator_aws::{Fault, Faults, WireRequest};
use af_providers::{LocalConfig, Providers};
use af_sam::template::EventDef;
use af_store::{conversation_key, keys};
use af_tests::bundle::Bundle;
use serde_json::json;
use tokio::sync::Notify;

use crate::provider::ListedProvider;
use crate::replica::Replica;
use crate::world::{World, conversation_id, outcomes};

/// A silence after which a worker is stale and its lease has expired.
const PAST_STALENESS: Millis = Millis::from_secs(121);
/// Limit of the records in one read of the stream: more than a test makes.
const MAX_RECORDS: usize = 1_000;
/// The real time of a delay, in which other requests run first.
const DELAY: Millis = Millis::new(300);

/// Delays the first read of one conversation, and notifies the test of this read.
struct DelayFirstRead {
    partition: String,
    first: Mutex<bool>,
    read_started: Arc<Notify>,
}

impl Faults for DelayFirstRead {
    fn before(&self, request: &WireRequest) -> Fault {
        let reads = request.operation == "GetItem" && request.body["Key"]["pk"]["S"] == self.partition;
        if reads && std::mem::take(&mut *self.first.lock().unwrap()) {
            self.read_started.notify_one();
            return Fault::Delay(DELAY);
        }
        Fault::None
    }
}

#[tokio::test]
async fn a_stale_worker_whose_heartbeat_comes_before_the_drain_keeps_its_message() {
    let world = World::new().await;
    let conversation = conversation_id("talk");
    world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let running = world.claim(&worker, Some(&conversation)).await;
    world.bundle.clock.advance(PAST_STALENESS);
    let read_started = Arc::new(Notify::new());
    let partition = keys::conversation(&conversation_key(&conversation)).pk;
    let faulty = world.with_faults(Arc::new(DelayFirstRead {
        partition,
        first: Mutex::new(true),
        read_started: read_started.clone(),
    }));
    let send_heartbeat = async {
        read_started.notified().await;
        heartbeat(&world.app, &worker, &running.message, &running.lease, None).await.unwrap()
    };
    let (report, answer) = tokio::join!(world.reconcile(&faulty), send_heartbeat);

    assert!(answer.held);
    let kept = world.stored(&conversation).await;
    assert!(kept.holds(&running.lease), "{:?}", outcomes(&report));
    assert!(outcomes(&report).iter().all(|o| o.ends_with(" stale")), "{:?}", outcomes(&report));
    world.complete(&running).await;
}

#[tokio::test]
async fn reconcile_spawns_no_worker_for_a_conversation_whose_messages_are_done() {
    let mut bundle = Bundle::fresh().await;
    let provider = ListedProvider::new();
    bundle.providers = Providers::none().with(provider.clone());
    let world = World::in_bundle(bundle).await;
    let config = LocalConfig::default().into();
    configure(&world.app, &config).await.unwrap();
    let replica = Replica::new();
    let behind = world.with_faults(replica.clone());
    let conversations = [conversation_id("talk"), conversation_id("other")];
    for conversation in &conversations {
        world.enqueue(conversation, None).await;
    }
    dry_run(&behind, None).await.unwrap();
    replica.fall_behind();
    let worker = world.worker("w", None).await;
    let first = world.claim(&worker, None).await;
    world.complete(&first).await;
    let second = world.release_and_claim(&worker, &first).await;
    world.complete(&second).await;

    let report = world.reconcile(&behind).await;
    assert_eq!(outcomes(&report), ["spawn stale", "spawn stale"]);
    assert_eq!(provider.all(), []);
    assert_eq!(world.app.store.workers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_requeued_message_of_a_stale_worker_triggers_a_reconcile_that_spawns_another() {
    let mut bundle = Bundle::fresh().await;
    let provider = ListedProvider::new();
    bundle.providers = Providers::none().with(provider.clone());
    let world = World::in_bundle(bundle).await;
    let config = LocalConfig::default().into();
    configure(&world.app, &config).await.unwrap();
    let conversation = conversation_id("talk");
    world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    world.claim(&worker, Some(&conversation)).await;
    let table = &world.bundle.template.tables[0].name;
    let engine = world.bundle.aws.engine();
    let seen = engine.records(table, None, MAX_RECORDS).unwrap().len();
    // The tick that drains the stale worker frees its conversation, but only after its plan.
    world.bundle.clock.advance(PAST_STALENESS);
    let drained = world.reconcile(&world.app).await;
    assert_eq!(outcomes(&drained)[..3], ["recover done", "drain done", "finish_drain done"]);
    assert_eq!(provider.all(), []);

    let functions = world.bundle.template.functions.iter().filter(|f| f.binary == "reconcile");
    let filters: Vec<_> = functions
        .flat_map(|f| &f.events)
        .filter_map(|e| if let EventDef::Stream(mapping) = e { Some(&mapping.filters) } else { None })
        .flatten()
        .collect();
    let records = engine.records(table, None, MAX_RECORDS).unwrap();
    assert!(
        records[seen..].iter().any(|r| filters.iter().any(|f| f.matches(r))),
        "no record triggers reconcile"
    );
    let triggered = world.reconcile(&world.app).await;
    assert!(outcomes(&triggered).contains(&"spawn done".to_owned()), "{triggered:?}");
}

/// Makes every run find another trigger at its end.
struct AlwaysDirty;

impl Faults for AlwaysDirty {
    fn before(&self, request: &WireRequest) -> Fault {
        let condition = request.body["ConditionExpression"].as_str().unwrap_or_default();
        if request.operation != "UpdateItem" || !condition.contains("attribute_not_exists(#di)") {
            return Fault::None;
        }
        let kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
        Fault::Respond {
            status: 400,
            body: json!({"__type": kind, "message": "The conditional request failed"}),
        }
    }
}

#[tokio::test]
async fn a_reconcile_that_reaches_its_limit_of_runs_releases_its_lease() {
    let world = World::new().await;
    world.reconcile(&world.with_faults(Arc::new(AlwaysDirty))).await;
    assert!(world.app.store.begin_reconcile(1, world.app.now()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_repeated_begin_of_reconcile_recognises_its_own_lease() {
    let world = World::new().await;
    let (store, now) = (&world.app.store, world.app.now());
    let first = store.begin_reconcile(7, now).await.unwrap();
    assert!(first.is_some());
    assert_eq!(store.begin_reconcile(7, now).await.unwrap(), first, "the same call again");
    assert_eq!(store.begin_reconcile(8, now).await.unwrap(), None, "another caller");
}
