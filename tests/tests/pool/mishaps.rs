//! What no worker and no provider of ours should do to the pool: a provider that hangs or has lost its app, rows and
//! entries of the ready index that are not as they should be. Each costs what it concerns, and nothing else.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use af_app::App;
use af_app::pool::provider;
use af_app::pool::reconcile::{Reconciled, Report, reconcile};
use af_domain::conversation::{Priority, ReadyKey};
use af_domain::ids::{ConversationId, WorkerId};
use af_domain::message::MessageStatus;
use af_domain::policy::Policies;
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::{DrainReason, Worker, WorkerStatus};
use af_emulator_fly::{Action, Fault};
use af_providers::{
    Capabilities, Inventory, Machine, MachineRef, MachineState, Provider, ProviderConfig, ProviderError,
    ProviderKind, Providers, Scope, SpawnSpec, StopOutcome, Teardown, Volume, VolumeRef, VolumeSpec,
};
use af_store::conversation_key;
use af_store::keys::{self, Key};
use af_tests::calls::Api;
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::crew::Crew;
use crate::prerequisites::loses_its_lease;
use crate::story::TALKS;
use crate::world::{TICK, World};

/// What Lambda gives a run.
const FUNCTION_LIMIT: Duration = Duration::from_secs(60);
/// More requests than a life makes.
const ALWAYS: usize = 10_000;
/// Most of what an item may hold.
const ROW_BYTES: usize = 390_000;

impl World {
    /// One write that our code does not make.
    pub async fn meddle(&self, operation: &str, key: &Key, more: Value) {
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
        self.meddle("UpdateItem", key, more).await;
    }

    /// The ready index names a conversation as due for long.
    pub async fn list(&self, talk: &str) {
        let key = keys::conversation(&conversation_key(&ConversationId::parse(talk).unwrap()));
        self.set(&key, "rp", &keys::ready_shard(0)).await;
        let due = ReadyKey::due(Priority::new(50).unwrap(), Timestamp::from_millis(1));
        self.set(&key, "rk", due.as_str()).await;
    }
}

fn outcomes(report: &Report, action: &str) -> Vec<String> {
    report.actions.iter().filter(|a| a.action == action).map(|a| a.outcome.clone()).collect()
}

/// A provider that answers nothing, or only that nothing is there.
struct Hangs {
    lists: bool,
}

#[async_trait]
impl Provider for Hangs {
    fn kind(&self) -> ProviderKind {
        ProviderKind::LOCAL
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { volumes: false }
    }

    fn volume_name(&self, _: &Scope, worker: &WorkerId) -> String {
        worker.to_string()
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
    boot.providers = Providers::none().with(Arc::new(Hangs { lists }));
    App::from_boot(&boot).unwrap()
}

/// A run that ends before its function is ended, and holds its lease no longer.
async fn ends_by_itself(world: &World, app: &App) -> Report {
    let run = tokio::time::timeout(FUNCTION_LIMIT, Box::pin(reconcile(app))).await;
    let Ok(Ok(Reconciled::Ran(report))) = run else { panic!("{run:?}") };
    assert!(world.app.store.begin_reconcile(0, world.app.now()).await.unwrap().is_some());
    report
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_what_it_has_stops_no_recovery() {
    let world = World::local().await;
    let app = hanging(&world, false);
    let (_, message) = loses_its_lease(&world, &app).await;
    let report = ends_by_itself(&world, &app).await;
    assert_eq!(report.errors.len(), 3, "{:?}", report.errors);
    assert!(report.errors.iter().all(|e| e.ends_with("provider unavailable: no answer in time")));
    assert_eq!(outcomes(&report, "recover"), ["done"]);
    assert_eq!(world.end_of(&message).await, (MessageStatus::Queued, 1));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_whether_it_has_started_a_machine_is_not_waited_for() {
    let world = World::local().await;
    world.enqueue(TALKS[0]).await;
    let report = ends_by_itself(&world, &hanging(&world, true)).await;
    assert_eq!(outcomes(&report, "spawn"), ["failed: it did not end in the run's time"]);
    let failures = async || world.app.store.reconcile_state().await.unwrap().failures;
    assert_eq!(failures().await, 0, "its worker may come up yet");
    world.pass(Policies::default().scaling.provider_grace);
    let report = ends_by_itself(&world, &hanging(&world, true)).await;
    assert_eq!(outcomes(&report, "drain"), ["done"]);
    assert_eq!(failures().await, 1, "it is counted once");
}

/// A crowd waits, and the provider hangs: the caller is answered before his function is ended, and no lease is left.
#[tokio::test(start_paused = true)]
async fn an_operators_reconcile_ends_before_its_function_is_ended() {
    let mut world = World::with_policies(json!({"scaling": {"maxWorkers": 100, "spawnStep": 50}})).await;
    for n in 0..30 {
        world.enqueue(&format!("talk-{n:02}")).await;
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
        world.bundle.providers = Providers::none().with(Arc::new(Hangs { lists }));
        let api = Api::of(&world.bundle).await;
        for path in ["/v1/workers/reconcile", "/v1/workers/reconcile?dryRun=true"] {
            let call = Box::pin(api.post(path, json!({})).send());
            let answer = tokio::time::timeout(limit, call).await.expect("it is answered in time");
            let report = answer.body_of(200);
            assert!(!report["actions"].as_array().unwrap().is_empty(), "{report}");
            let free = world.app.store.begin_reconcile(0, world.app.now()).await.unwrap();
            let holder = free.expect("nobody holds the lease");
            world.app.store.abandon_reconcile(&holder, &holder.state).await.unwrap();
        }
    }
    time_passes.abort();
}

/// A conversation that the ready index names and that cannot be read, as of a later version.
async fn unreadable(world: &World, talk: &str) -> String {
    world.enqueue(talk).await;
    let key = keys::conversation(&conversation_key(&ConversationId::parse(talk).unwrap()));
    let more = json!({
        "UpdateExpression": "SET #ag = :none",
        "ExpressionAttributeNames": {"#ag": "ag"},
        "ExpressionAttributeValues": {":none": {"N": "1"}},
    });
    world.meddle("UpdateItem", &key, more).await;
    world.pass(Millis::new(1));
    format!("item {}/{} is malformed: ag: not a string", key.pk, key.sk)
}

#[tokio::test]
async fn conversations_that_cannot_be_read_take_nobodys_place_however_many_they_are() {
    for count in [1, 3, 130] {
        let world = World::with_policies(one_at_a_time()).await;
        let mut expected = Vec::new();
        for n in 0..count {
            expected.push(unreadable(&world, &format!("later-{n}")).await);
        }
        world.enqueue(TALKS[0]).await;
        world.enqueue(TALKS[1]).await;
        let report = world.tick().await;
        assert_eq!(report.unserved, 0, "{report:?}");
        let told = report.errors.iter().filter(|e| expected.contains(e)).count();
        assert_eq!(told, count.min(10), "{:?}", report.errors);
        if count > 10 {
            let more = format!("{} more conversations cannot be read", count - 10);
            assert!(report.errors.contains(&more), "{:?}", report.errors);
        }
        let workers = world.workers().await.into_iter();
        let served = workers.filter_map(|w| w.assignment).map(|a| a.conversation.to_string());
        assert_eq!(served.collect::<BTreeSet<_>>(), TALKS.map(str::to_owned).into());
    }
}

#[tokio::test]
async fn who_has_waited_longest_gets_the_next_worker() {
    let world = World::new().await;
    let talks = ["talk-c", "talk-a", "talk-d", "talk-b"];
    for talk in talks {
        world.enqueue(talk).await;
        world.pass(Millis::new(1));
    }
    for workers in 1..=talks.len() {
        let change = serde_json::from_value(json!({"scaling": {"maxWorkers": workers}})).unwrap();
        af_app::settings::policies::set(&world.app, change).await.unwrap();
        world.tick().await;
        let rows = world.workers().await.into_iter();
        let served: BTreeSet<_> =
            rows.filter_map(|w| w.assignment).map(|a| a.conversation.to_string()).collect();
        assert_eq!(served, talks[..workers].iter().map(|t| (*t).to_owned()).collect());
    }
}

#[tokio::test]
async fn a_worker_whose_app_is_gone_is_stopped() {
    let world = World::new().await;
    let mut crew = Crew::of(&world);
    let message = world.enqueue(TALKS[0]).await;
    world.serve(&mut crew, &[message]).await;
    let fly = world.stand.machines_api();
    let machine = world.stand.machines().await.remove(0);
    assert!(world.stand.vanish(&machine).await);
    for lists in [Action::ListMachines, Action::ListVolumes] {
        fly.fault(lists, &Fault::status(404), ALWAYS);
    }
    crew.silent = true;
    for _ in 0..30 {
        world.pass(TICK);
        world.tick().await;
    }
    assert_eq!(world.workers().await, []);
}

#[tokio::test]
async fn a_machine_that_was_never_confirmed_is_found_where_it_was_made_after_the_app_has_changed() {
    let world = World::new().await;
    world.enqueue(TALKS[0]).await;
    let fly = world.stand.machines_api();
    fly.add_app("elsewhere", "org");
    fly.fault(Action::CreateMachine, &Fault::AnswerLost, 1);
    // Two lists before anything is planned, and one that looks for the machine.
    fly.fault(Action::ListMachines, &Fault::status(503), 3);
    world.tick().await;
    assert_eq!(world.stand.machines().await.len(), 1);
    let lost = world.workers().await.remove(0);
    assert!(lost.machine.is_none(), "{lost:?}");

    let ProviderConfig::Fly(mut config) = world.stand.config() else { panic!("the fake Fly is used") };
    config.app_name = Some("elsewhere".to_owned());
    provider::configure(&world.app, &ProviderConfig::Fly(config)).await.unwrap();
    for _ in 0..5 {
        world.pass(TICK);
        world.tick().await;
    }
    assert!(world.workers().await.iter().all(|w| w.id != lost.id));
    assert_eq!((world.stand.machines().await, world.stand.volumes().await), (vec![], vec![]));
}

/// One worker at a time is spawned, and the first place in the index is taken by what wants none.
async fn serves_in_spite_of(world: &World) {
    world.enqueue(TALKS[1]).await;
    for _ in 0..2 {
        world.tick().await;
    }
    let served: Vec<_> =
        world.workers().await.into_iter().filter_map(|w| w.assignment).map(|a| a.conversation).collect();
    assert!(served.contains(&ConversationId::parse(TALKS[1]).unwrap()), "{served:?}");
}

fn one_at_a_time() -> Value {
    json!({"queue": {"readyShards": 1}, "scaling": {"spawnStep": 1}})
}

#[tokio::test]
async fn a_conversation_that_the_index_names_before_its_time_takes_nobodys_place() {
    let world = World::with_policies(one_at_a_time()).await;
    world.enqueue_for(TALKS[0], Some(world.app.now() + Millis::from_days(1))).await;
    world.list(TALKS[0]).await;
    serves_in_spite_of(&world).await;
}

#[tokio::test]
async fn a_conversation_that_the_index_names_while_it_is_leased_to_nobody_takes_nobodys_place() {
    let world = World::with_policies(one_at_a_time()).await;
    let (worker, message) = loses_its_lease(&world, &world.app).await;
    world.meddle("DeleteItem", &keys::worker(&worker), json!({})).await;
    world.list(TALKS[0]).await;
    serves_in_spite_of(&world).await;
    let mut crew = Crew::of(&world);
    world.serve(&mut crew, std::slice::from_ref(&message)).await;
    assert_eq!(world.end_of(&message).await.0, MessageStatus::Done);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_stops_nothing_else() {
    let world = World::new().await;
    let later = keys::worker(&WorkerId::parse("later").unwrap());
    world.set(&later, "st", "resting").await;
    let (_, message) = loses_its_lease(&world, &world.app).await;
    let report = world.tick().await;
    assert_eq!(report.errors, ["item W/later is malformed: st: not a status"]);
    assert_eq!(outcomes(&report, "recover"), ["done"]);
    assert_eq!(world.end_of(&message).await, (MessageStatus::Queued, 1));
    let (shown, _) = af_app::pool::workers::list(&world.app, 10, None).await.unwrap();
    assert_eq!(shown.len(), 1, "the other is shown");
}

#[tokio::test]
async fn a_worker_that_drains_for_a_reason_of_a_later_version_finishes_and_leaves() {
    let world = World::new().await;
    let mut crew = Crew::of(&world);
    let message = world.enqueue(TALKS[0]).await;
    world.serve(&mut crew, &[message]).await;
    let worker = world.workers().await.remove(0);
    let policies = Policies::default();
    let draining = worker.clone().drain(DrainReason::Operator, world.app.now(), &policies).unwrap();
    let key = conversation_key(&ConversationId::parse(TALKS[0]).unwrap());
    let owned = world.app.store.conversation(&key, true).await.unwrap();
    world.app.store.drain_if_active(&draining, owned.as_ref(), &policies).await.unwrap();
    world.set(&keys::worker(&worker.id), "dr", "boredom").await;
    let row = world.workers().await.remove(0);
    assert!(matches!(row.status, WorkerStatus::Draining { reason: DrainReason::Operator, .. }), "{row:?}");
    world.close(&mut crew).await;
}

#[tokio::test]
async fn a_list_of_workers_is_whole_or_none() {
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
    assert_eq!(world.workers().await.len(), 6, "of several pages");
    for n in 6..16 {
        register(n).await;
    }
    let told = world.app.store.workers().await.unwrap_err();
    assert_eq!(told.to_string(), "there are more workers than can be read at once");
}
