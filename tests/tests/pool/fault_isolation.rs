//! Fault isolation of the pool: a provider that hangs or has lost its app, malformed rows, and wrong entries of the
//! ready index. Each fault affects only its own worker or conversation.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use af_api::reconcile::Report;
use af_app::App;
use af_app::pool::provider;
use af_app::pool::reconcile::{Reconciled, reconcile};
use af_domain::conversation::{Priority, ReadyKey};
use af_domain::ids::{ConversationId, WorkerId};
use af_domain::message::MessageStatus;
use af_domain::policy::Policies;
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::{DrainReason, Worker, WorkerStatus};
use af_emulator_fly::{Action, Fault};
use af_providers::{
    Inventory, Machine, MachineRef, MachineState, Provider, ProviderConfig, ProviderError, ProviderKind,
    Providers, Scope, SpawnSpec, StopOutcome, Teardown, Volume, VolumeRef, VolumeSpec,
};
use af_store::conversation_key;
use af_store::keys::{self, Key};
use af_tests::calls::Api;
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::prerequisites::loses_its_lease;
use crate::scenario::CONVERSATIONS;
use crate::world::{TICK, World};

/// The time limit of Lambda for a run.
const FUNCTION_LIMIT: Duration = Duration::from_secs(60);
/// More requests than a test sends.
const ALWAYS: usize = 10_000;
/// A size close to the limit of an item.
const ROW_BYTES: usize = 390_000;

impl World {
    /// One direct write to the table, which the use cases would not make.
    pub async fn write_raw(&self, operation: &str, key: &Key, more: Value) {
        let table = &self.bundle.template.tables[0].name;
        let mut request = json!({"TableName": table, "Key": {"pk": {"S": key.pk}, "sk": {"S": key.sk}}});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.bundle.aws.engine().call(operation, request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    async fn set(&self, key: &Key, name: &str, value: &str) {
        let more = json!({
            "UpdateExpression": "SET #name = :value",
            "ExpressionAttributeNames": {"#name": name},
            "ExpressionAttributeValues": {":value": {"S": value}},
        });
        self.write_raw("UpdateItem", key, more).await;
    }

    /// Lists a conversation in the ready index as due since a long time.
    pub async fn list_as_ready(&self, conversation: &str) {
        let key = keys::conversation(&conversation_key(&ConversationId::parse(conversation).unwrap()));
        self.set(&key, "rp", &keys::ready_shard(0)).await;
        let due = ReadyKey::due(Priority::new(50).unwrap(), Timestamp::from_millis(1));
        self.set(&key, "rk", due.as_str()).await;
    }
}

fn outcomes(report: &Report, action: &str) -> Vec<String> {
    report.actions.iter().filter(|a| a.action == action).map(|a| a.outcome.clone()).collect()
}

/// A provider that never responds, or responds only to lists, with no machine.
struct HangingProvider {
    lists: bool,
}

#[async_trait]
impl Provider for HangingProvider {
    fn kind(&self) -> ProviderKind {
        ProviderKind::LOCAL
    }

    fn volume_name(&self, _: &Scope, _: &WorkerId) -> Option<String> {
        None
    }

    async fn ensure_volume(&self, _: &VolumeSpec) -> Result<VolumeRef, ProviderError> {
        pending().await
    }

    async fn spawn(&self, _: &SpawnSpec) -> Result<Machine, ProviderError> {
        pending().await
    }

    async fn list(&self, _: &Scope) -> Result<Inventory<Machine>, ProviderError> {
        if self.lists { Ok(Inventory { ours: vec![], foreign: 0 }) } else { pending().await }
    }

    async fn inspect(&self, _: &MachineRef) -> Result<MachineState, ProviderError> {
        pending().await
    }

    async fn list_volumes(&self, _: &Scope) -> Result<Inventory<Volume>, ProviderError> {
        if self.lists { Ok(Inventory { ours: vec![], foreign: 0 }) } else { pending().await }
    }

    async fn cordon(&self, _: &MachineRef) -> Result<(), ProviderError> {
        pending().await
    }

    async fn stop(&self, _: &MachineRef) -> Result<StopOutcome, ProviderError> {
        pending().await
    }

    async fn terminate(&self, _: &MachineRef, _: Teardown) -> Result<(), ProviderError> {
        pending().await
    }

    async fn delete_volume(&self, _: &VolumeRef) -> Result<(), ProviderError> {
        pending().await
    }
}

/// A function whose provider hangs.
fn hanging(world: &World, lists: bool) -> App {
    let mut boot = world.bundle.boot("reconcile");
    boot.providers = Providers::none().with(Arc::new(HangingProvider { lists }));
    App::from_boot(&boot).unwrap()
}

/// Checks that a run ends within the limit of its function and frees the reconcile lease.
async fn reconcile_within_the_limit(world: &World, app: &App) -> Report {
    let run = tokio::time::timeout(FUNCTION_LIMIT, Box::pin(reconcile(app))).await;
    let Ok(Ok(Reconciled::Ran(report))) = run else { panic!("{run:?}") };
    assert!(world.app.store.begin_reconcile(0, world.app.now()).await.unwrap().is_some());
    report
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_lists_does_not_block_recovery() {
    let world = World::local().await;
    let app = hanging(&world, false);
    let (_, message) = loses_its_lease(&world, &app).await;
    let report = reconcile_within_the_limit(&world, &app).await;
    assert_eq!(report.errors.len(), 3, "{:?}", report.errors);
    assert!(report.errors.iter().all(|e| e.ends_with("provider unavailable: no answer in time")));
    assert_eq!(outcomes(&report, "recover"), ["done"]);
    assert_eq!(world.status_and_attempts(&message).await, (MessageStatus::Queued, 1));
}

#[tokio::test(start_paused = true)]
async fn a_spawn_that_gets_no_response_does_not_block_the_run() {
    let world = World::local().await;
    world.enqueue(CONVERSATIONS[0]).await;
    let report = reconcile_within_the_limit(&world, &hanging(&world, true)).await;
    assert_eq!(outcomes(&report, "spawn"), ["failed: it did not end within the time of the run"]);
    let failures = async || world.app.store.reconcile_state().await.unwrap().failures;
    assert_eq!(failures().await, 0, "its worker may still start");
    world.advance(Policies::default().scaling.provider_grace);
    let report = reconcile_within_the_limit(&world, &hanging(&world, true)).await;
    assert_eq!(outcomes(&report, "drain"), ["done"]);
    assert_eq!(failures().await, 1, "the failure is counted once");
}

/// Thirty conversations wait, and the provider hangs. The caller gets a response within the function's time limit, and
/// the reconcile lease is free.
#[tokio::test(start_paused = true)]
async fn an_operators_reconcile_ends_within_the_time_limit_of_its_function() {
    let mut world = World::with_policies(json!({"scaling": {"maxWorkers": 100, "spawnStep": 50}})).await;
    for n in 0..30 {
        world.enqueue(&format!("conversation-{n:02}")).await;
    }
    let local = json!({"kind": "local"});
    world.app.store.put_config("provider", &local.to_string()).await.unwrap();
    let functions = &world.bundle.template.functions;
    let limit = functions.iter().find(|f| f.binary == "admin-api").unwrap().timeout;
    let limit = Duration::from_millis(limit.as_millis());
    let clock = world.bundle.clock.clone();
    let time_passes = tokio::spawn(async move {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        loop {
            seconds.tick().await;
            clock.advance(Millis::from_secs(1));
        }
    });
    for lists in [true, false] {
        world.bundle.providers = Providers::none().with(Arc::new(HangingProvider { lists }));
        let api = Api::of(&world.bundle).await;
        for path in ["/v1/workers/reconcile", "/v1/workers/reconcile?dryRun=true"] {
            let call = Box::pin(api.post(path, json!({})).send());
            let answer = tokio::time::timeout(limit, call).await.expect("the response comes in time");
            let report = answer.body_of(200);
            assert!(!report["actions"].as_array().unwrap().is_empty(), "{report}");
            let free = world.app.store.begin_reconcile(0, world.app.now()).await.unwrap();
            let holder = free.expect("the reconcile lease is free");
            world.app.store.abandon_reconcile(&holder, &holder.state).await.unwrap();
        }
    }
    time_passes.abort();
}

/// A conversation in the ready index that this version cannot read.
async fn unreadable(world: &World, conversation: &str) -> String {
    world.enqueue(conversation).await;
    let key = keys::conversation(&conversation_key(&ConversationId::parse(conversation).unwrap()));
    let more = json!({
        "UpdateExpression": "SET #ag = :none",
        "ExpressionAttributeNames": {"#ag": "ag"},
        "ExpressionAttributeValues": {":none": {"N": "1"}},
    });
    world.write_raw("UpdateItem", &key, more).await;
    world.advance(Millis::new(1));
    format!("item {}/{} is malformed: ag: not a string", key.pk, key.sk)
}

#[tokio::test]
async fn unreadable_conversations_block_no_other_conversation() {
    for count in [1, 3, 130] {
        let world = World::with_policies(one_spawn_per_run()).await;
        let mut expected = Vec::new();
        for n in 0..count {
            expected.push(unreadable(&world, &format!("later-{n}")).await);
        }
        world.enqueue(CONVERSATIONS[0]).await;
        world.enqueue(CONVERSATIONS[1]).await;
        let report = world.tick().await;
        assert_eq!(report.unserved, 0, "{report:?}");
        let reported = report.errors.iter().filter(|e| expected.contains(e)).count();
        assert_eq!(reported, count.min(10), "{:?}", report.errors);
        if count > 10 {
            let more = format!("{} more conversations cannot be read", count - 10);
            assert!(report.errors.contains(&more), "{:?}", report.errors);
        }
        let workers = world.workers().await.into_iter();
        let served = workers.filter_map(|w| w.assignment).map(|a| a.conversation.to_string());
        assert_eq!(served.collect::<BTreeSet<_>>(), CONVERSATIONS.map(str::to_owned).into());
    }
}

#[tokio::test]
async fn the_conversation_that_has_waited_longest_gets_the_next_worker() {
    let world = World::new().await;
    let conversations = ["conversation-c", "conversation-a", "conversation-d", "conversation-b"];
    for conversation in conversations {
        world.enqueue(conversation).await;
        world.advance(Millis::new(1));
    }
    for workers in 1..=conversations.len() {
        let change = serde_json::from_value(json!({"scaling": {"maxWorkers": workers}})).unwrap();
        af_app::settings::policies::set(&world.app, change).await.unwrap();
        world.tick().await;
        let rows = world.workers().await.into_iter();
        let served: BTreeSet<_> =
            rows.filter_map(|w| w.assignment).map(|a| a.conversation.to_string()).collect();
        assert_eq!(served, conversations[..workers].iter().map(|t| (*t).to_owned()).collect());
    }
}

#[tokio::test]
async fn a_worker_whose_app_no_longer_exists_is_stopped() {
    let world = World::new().await;
    let mut fleet = Fleet::of(&world);
    let message = world.enqueue(CONVERSATIONS[0]).await;
    world.serve(&mut fleet, &[message]).await;
    let fly = world.backend.machines_api();
    let machine = world.backend.machines().await.remove(0);
    assert!(world.backend.vanish(&machine).await);
    for lists in [Action::ListMachines, Action::ListVolumes] {
        fly.fault(lists, &Fault::status(404), ALWAYS);
    }
    fleet.is_silent = true;
    for _ in 0..30 {
        world.advance(TICK);
        world.tick().await;
    }
    assert_eq!(world.workers().await, []);
}

#[tokio::test]
async fn a_machine_without_a_confirmed_creation_is_found_in_its_old_app_after_a_change_of_the_app() {
    let world = World::new().await;
    world.enqueue(CONVERSATIONS[0]).await;
    let fly = world.backend.machines_api();
    fly.add_app("elsewhere", "org");
    fly.fault(Action::CreateMachine, &Fault::AnswerLost, 1);
    // Two lists before the plan, and one that looks for the machine.
    fly.fault(Action::ListMachines, &Fault::status(503), 3);
    world.tick().await;
    assert_eq!(world.backend.machines().await.len(), 1);
    let lost = world.workers().await.remove(0);
    assert!(lost.machine.is_none(), "{lost:?}");

    let ProviderConfig::Fly(mut config) = world.backend.config() else { panic!("the fake Fly is used") };
    config.app_name = Some("elsewhere".to_owned());
    provider::configure(&world.app, &ProviderConfig::Fly(config)).await.unwrap();
    for _ in 0..5 {
        world.advance(TICK);
        world.tick().await;
    }
    assert!(world.workers().await.iter().all(|w| w.id != lost.id));
    assert_eq!((world.backend.machines().await, world.backend.volumes().await), (vec![], vec![]));
}

/// Checks that a waiting conversation gets a worker although the ready index lists an entry without demand before it.
async fn serves_behind_a_wrong_entry(world: &World) {
    world.enqueue(CONVERSATIONS[1]).await;
    for _ in 0..2 {
        world.tick().await;
    }
    let served: Vec<_> =
        world.workers().await.into_iter().filter_map(|w| w.assignment).map(|a| a.conversation).collect();
    assert!(served.contains(&ConversationId::parse(CONVERSATIONS[1]).unwrap()), "{served:?}");
}

fn one_spawn_per_run() -> Value {
    json!({"queue": {"readyShards": 1}, "scaling": {"spawnStep": 1}})
}

#[tokio::test]
async fn a_conversation_that_the_ready_index_lists_too_early_blocks_no_other() {
    let world = World::with_policies(one_spawn_per_run()).await;
    world.enqueue_for(CONVERSATIONS[0], Some(world.app.now() + Millis::from_days(1))).await;
    world.list_as_ready(CONVERSATIONS[0]).await;
    serves_behind_a_wrong_entry(&world).await;
}

#[tokio::test]
async fn a_ready_conversation_whose_lease_has_no_worker_blocks_no_other() {
    let world = World::with_policies(one_spawn_per_run()).await;
    let (worker, message) = loses_its_lease(&world, &world.app).await;
    world.write_raw("DeleteItem", &keys::worker(&worker), json!({})).await;
    world.list_as_ready(CONVERSATIONS[0]).await;
    serves_behind_a_wrong_entry(&world).await;
    let mut fleet = Fleet::of(&world);
    world.serve(&mut fleet, std::slice::from_ref(&message)).await;
    assert_eq!(world.status_and_attempts(&message).await.0, MessageStatus::Done);
}

#[tokio::test]
async fn an_unreadable_worker_row_blocks_nothing_else() {
    let world = World::new().await;
    let later = keys::worker(&WorkerId::parse("later").unwrap());
    world.set(&later, "st", "resting").await;
    let (_, message) = loses_its_lease(&world, &world.app).await;
    let report = world.tick().await;
    assert_eq!(report.errors, ["item W/later is malformed: st: not a status"]);
    assert_eq!(outcomes(&report, "recover"), ["done"]);
    assert_eq!(world.status_and_attempts(&message).await, (MessageStatus::Queued, 1));
    let (shown, _) = af_app::pool::workers::list(&world.app, 10, None).await.unwrap();
    assert_eq!(shown.len(), 1, "the other worker is listed");
}

#[tokio::test]
async fn a_worker_that_drains_for_an_unknown_reason_finishes_and_ends() {
    let world = World::new().await;
    let mut fleet = Fleet::of(&world);
    let message = world.enqueue(CONVERSATIONS[0]).await;
    world.serve(&mut fleet, &[message]).await;
    let worker = world.workers().await.remove(0);
    let policies = Policies::default();
    let draining = worker.clone().drain(DrainReason::Operator, world.app.now(), &policies).unwrap();
    let key = conversation_key(&ConversationId::parse(CONVERSATIONS[0]).unwrap());
    let owned = world.app.store.conversation(&key, true).await.unwrap();
    world.app.store.drain_if_active(&draining, owned.as_ref(), &policies).await.unwrap();
    world.set(&keys::worker(&worker.id), "dr", "boredom").await;
    let row = world.workers().await.remove(0);
    assert!(matches!(row.status, WorkerStatus::Draining { reason: DrainReason::Operator, .. }), "{row:?}");
    world.scale_to_zero(&mut fleet).await;
}

#[tokio::test]
async fn a_list_of_workers_that_is_too_long_is_an_error() {
    let world = World::new().await;
    let register = async |n: usize| {
        let id = WorkerId::parse(format!("w-{n}")).unwrap();
        let mut row = Worker::registered(id, "fly".to_owned(), world.app.now());
        row.image = Some("i".repeat(ROW_BYTES));
        world.app.store.register_if_new(&row, None, None).await.unwrap();
    };
    for n in 0..6 {
        register(n).await;
    }
    assert_eq!(world.workers().await.len(), 6, "the list has several pages");
    for n in 6..16 {
        register(n).await;
    }
    let error = world.app.store.workers().await.unwrap_err();
    assert_eq!(error.to_string(), "there are more workers than one read may return");
}
