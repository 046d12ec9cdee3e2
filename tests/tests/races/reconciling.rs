//! What changes between reconcile's look and its hand.

use std::sync::Arc;
use std::sync::Mutex;

use af_app::pool::provider::configure;
use af_app::pool::reconcile::dry_run;
use af_app::worker::heartbeat;
use af_domain::time::Millis;
use af_emulator_aws::{Fault, Faults, WireRequest};
use af_providers::{LocalConfig, Providers};
use af_sam::stream::filter::Pattern;
use af_sam::template::EventDef;
use af_store::{conversation_key, keys};
use af_tests::bundle::Bundle;
use serde_json::json;
use tokio::sync::Notify;

use crate::provider::Names;
use crate::replica::Replica;
use crate::world::{World, conversation, outcomes};

/// Silence after which a worker is stale, and its lease long over.
const PAST_STALENESS: Millis = Millis::from_secs(121);
const PAST_THE_DRAIN: Millis = Millis::from_secs(301);
/// Records of the stream that are read: more than a test makes.
const RECORDS_MAX: usize = 1_000;
/// Real time in which a request is held up, so that others come first.
const HELD_UP: Millis = Millis::new(300);

/// Holds up the first read of one conversation, and tells when it comes.
struct HoldUp {
    partition: String,
    first: Mutex<bool>,
    comes: Arc<Notify>,
}

impl Faults for HoldUp {
    fn before(&self, request: &WireRequest) -> Fault {
        let reads = request.operation == "GetItem" && request.body["Key"]["pk"]["S"] == self.partition;
        if reads && std::mem::take(&mut *self.first.lock().unwrap()) {
            self.comes.notify_one();
            return Fault::Delay(HELD_UP);
        }
        Fault::None
    }
}

#[tokio::test]
async fn a_worker_that_comes_back_before_it_is_given_up_keeps_its_message() {
    let world = World::new().await;
    let talk = conversation("talk");
    world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    let held = world.claim(&worker, Some(&talk)).await;
    world.bundle.clock.advance(PAST_STALENESS);
    let comes = Arc::new(Notify::new());
    let partition = keys::conversation(&conversation_key(&talk)).pk;
    let late = world.troubled(Arc::new(HoldUp { partition, first: Mutex::new(true), comes: comes.clone() }));
    let come_back = async {
        comes.notified().await;
        heartbeat(&world.app, &worker, &held.message, &held.lease, None).await.unwrap()
    };
    let (report, beat) = tokio::join!(world.reconcile(&late), come_back);

    assert!(beat.held);
    let kept = world.stored(&talk).await;
    assert!(kept.holds(&held.lease), "{:?}", outcomes(&report));
    assert!(outcomes(&report).iter().all(|o| o.ends_with(" stale")), "{:?}", outcomes(&report));
    world.complete(&held).await;
}

#[tokio::test]
async fn no_worker_is_started_for_a_conversation_whose_work_is_done() {
    let mut bundle = Bundle::fresh().await;
    let names = Names::new();
    bundle.providers = Providers::none().with(names.clone());
    let world = World::in_bundle(bundle).await;
    let config = LocalConfig::default().into();
    configure(&world.app, &config).await.unwrap();
    let replica = Replica::new();
    let behind = world.troubled(replica.clone());
    let talks = [conversation("talk"), conversation("other")];
    for talk in &talks {
        world.enqueue(talk, None).await;
    }
    dry_run(&behind, None).await.unwrap();
    replica.fall_behind();
    let worker = world.worker("w", None).await;
    let first = world.claim(&worker, None).await;
    world.complete(&first).await;
    let second = world.let_go_and_claim(&worker, &first).await;
    world.complete(&second).await;

    let report = world.reconcile(&behind).await;
    assert_eq!(outcomes(&report), ["spawn stale", "spawn stale"]);
    assert_eq!(names.all(), []);
    assert_eq!(world.app.store.workers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_retry_whose_worker_is_given_up_calls_reconcile_which_starts_another() {
    let mut bundle = Bundle::fresh().await;
    let names = Names::new();
    bundle.providers = Providers::none().with(names.clone());
    let world = World::in_bundle(bundle).await;
    let config = LocalConfig::default().into();
    configure(&world.app, &config).await.unwrap();
    let talk = conversation("talk");
    world.enqueue(&talk, None).await;
    let worker = world.worker("w", Some(&talk)).await;
    world.claim(&worker, Some(&talk)).await;
    let table = &world.bundle.template.tables[0].name;
    let engine = world.bundle.aws.engine();
    let seen = engine.records(table, None, RECORDS_MAX).unwrap().len();
    // The tick that gives the silent worker up frees its conversation; the plan was made before that.
    world.bundle.clock.advance(PAST_STALENESS);
    assert_eq!(outcomes(&world.reconcile(&world.app).await)[..1], ["recover done"]);
    world.bundle.clock.advance(PAST_THE_DRAIN);
    assert_eq!(outcomes(&world.reconcile(&world.app).await)[..1], ["finish_drain done"]);
    assert_eq!(names.all(), []);

    let functions = world.bundle.template.functions.iter().filter(|f| f.binary == "reconcile");
    let filters: Vec<_> = functions
        .flat_map(|f| &f.events)
        .filter_map(|e| if let EventDef::Stream { filters, .. } = e { Some(filters) } else { None })
        .flatten()
        .map(|pattern| Pattern::compile(pattern).unwrap())
        .collect();
    let records = engine.records(table, None, RECORDS_MAX).unwrap();
    assert!(records[seen..].iter().any(|r| filters.iter().any(|f| f.matches(r))), "nobody is called");
    let called = world.reconcile(&world.app).await;
    assert!(outcomes(&called).contains(&"spawn done".to_owned()), "{called:?}");
}

/// Another trigger has come whenever a run wants to end.
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
async fn a_reconcile_that_stops_running_again_leaves_no_lease_behind() {
    let world = World::new().await;
    world.reconcile(&world.troubled(Arc::new(AlwaysDirty))).await;
    assert!(world.app.store.begin_reconcile(1, world.app.now()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_reconcile_lease_whose_answer_was_lost_is_recognised_as_ours() {
    let world = World::new().await;
    let (store, now) = (&world.app.store, world.app.now());
    let first = store.begin_reconcile(7, now).await.unwrap();
    assert!(first.is_some());
    assert_eq!(store.begin_reconcile(7, now).await.unwrap(), first, "the same sending once more");
    assert_eq!(store.begin_reconcile(8, now).await.unwrap(), None, "another's");
}
