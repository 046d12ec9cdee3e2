//! A deployment whose workers run on a test backend, and the conditions that hold at any time and at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use af_api::reconcile::Report;
use af_app::App;
use af_app::agents::profiles::configure;
use af_app::intake::enqueue::{Enqueue, enqueue};
use af_app::pool::provider;
use af_app::pool::reconcile::{Reconciled, reconcile};
use af_aws::objects::Objects;
use af_domain::ids::{AgentKey, ConversationId, MessageId, WorkerId};
use af_domain::message::MessageStatus;
use af_domain::policy::Policies;
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::{Worker, WorkerStatus};
use af_providers::{Provider, Providers, Scope, SpawnEnv, SpawnSpec, VolumeSpec};
use af_store::reconcile_lease::RECONCILE_LEASE;
use af_tests::bundle::Bundle;
use af_tests::messages::hello;
use af_tests::world::agent_settings;
use aws_smithy_types::retry::RetryConfig;
use serde_json::{Value, json};

use crate::backend::{APP, Backend};
use crate::fleet::Fleet;
use af_tests::steps::Steps;

/// The time between two ticks of the schedule.
pub const TICK: Millis = Millis::from_secs(60);
/// The largest number of ticks until all work is done. A crash of a function or a failure of a provider delays it by a
/// cool-down of up to ten minutes each.
const MAX_TICKS: usize = 60;

pub struct World {
    pub bundle: Bundle,
    pub backend: Backend,
    /// A function without faults.
    pub app: App,
    pub objects: Objects,
    deployment: String,
    provider: Arc<dyn Provider>,
}

/// The outcome of a test.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The status of each message, its attempts, and the number of its accepted completions.
    pub messages: Vec<(MessageStatus, u32, usize)>,
    /// The number of machines that were ever created.
    pub machines: usize,
    /// The number of workers that ended without their final snapshot.
    pub missed: usize,
    /// The files of each conversation, as the next worker would restore them.
    pub files: Vec<String>,
}

impl World {
    /// The ready index has one shard here, so that a tick takes as few steps as possible.
    pub async fn new() -> Self {
        Self::with_policies(json!({"queue": {"readyShards": 1}})).await
    }

    pub async fn with_policies(overrides: Value) -> Self {
        let bundle = Bundle::fresh().await;
        let backend = Backend::fly(&bundle.clock);
        Self::on(bundle, backend, overrides).await
    }

    /// The same with processes of this machine.
    pub async fn local() -> Self {
        let bundle = Bundle::fresh().await;
        let backend = Backend::local(&bundle.clock);
        Self::on(bundle, backend, json!({"queue": {"readyShards": 1}})).await
    }

    async fn on(mut bundle: Bundle, backend: Backend, overrides: Value) -> Self {
        let deployment = bundle.app("reconcile").deployment_id;
        let provider = backend.provider(&deployment, None).await;
        bundle.providers = Providers::none().with(provider.clone());
        let app = bundle.app("reconcile");
        let settings = agent_settings();
        configure(&app, &agent(), settings).await.unwrap();
        // The use case refuses to remove a shard, so this writes the setting directly.
        app.store.put_config("policies", &overrides.to_string()).await.unwrap();
        provider::configure(&app, &backend.config()).await.unwrap();
        let objects = bundle.boot("effects").objects().unwrap();
        Self { bundle, backend, app, objects, deployment, provider }
    }

    /// Another instance of the function, with its own network.
    pub async fn function(&self, steps: &Arc<Steps>) -> App {
        let mut boot = self.bundle.restricted_boot("reconcile");
        if self.backend.counts_table_requests() {
            let aws = self.bundle.aws.clone().with_permissions(self.bundle.permissions["reconcile"].clone());
            boot.sdk = aws.with_faults(steps.clone()).sdk_config(RetryConfig::disabled());
        }
        let provider = self.backend.provider(&self.deployment, Some(steps.clone())).await;
        boot.providers = Providers::none().with(provider);
        App::from_boot(&boot).unwrap()
    }

    pub async fn enqueue(&self, conversation: &str) -> MessageId {
        self.enqueue_for(conversation, None).await
    }

    /// Enqueues a message that is due at the given time.
    pub async fn enqueue_for(&self, conversation: &str, due: Option<Timestamp>) -> MessageId {
        let message = hello(agent(), ConversationId::parse(conversation).unwrap());
        let message = Enqueue { scheduled_for: due, ..message };
        enqueue(&self.app, message).await.unwrap().message
    }

    /// A tick while no other reconcile holds the lease.
    pub async fn tick(&self) -> Report {
        self.tick_unless_held().await.expect("no other reconcile runs")
    }

    /// A tick; `None` when another reconcile holds the lease or has done the work.
    pub async fn tick_unless_held(&self) -> Option<Report> {
        match Box::pin(reconcile(&self.app)).await.unwrap() {
            Reconciled::Ran(report) => Some(report),
            Reconciled::LeftToAnother => None,
        }
    }

    pub fn advance(&self, by: Millis) {
        self.bundle.clock.advance(by);
    }

    /// Lets the workers run until the reconcile lease of a function that died or was frozen has expired.
    pub async fn expire_the_reconcile_lease(&self, fleet: &mut Fleet<'_>) {
        for _ in 0..2 {
            fleet.work().await;
            self.advance(Millis::new(RECONCILE_LEASE.as_millis() / 2));
        }
    }

    pub async fn workers(&self) -> Vec<Worker> {
        self.app.store.workers().await.unwrap()
    }

    /// Runs ticks, and the workers between them, until all `messages` have ended.
    pub async fn serve(&self, fleet: &mut Fleet<'_>, messages: &[MessageId]) {
        for _ in 0..MAX_TICKS {
            self.tick_unless_held().await;
            self.advance(Millis::from_secs(1));
            fleet.work().await;
            self.assert_exclusive().await;
            let mut all_ended = true;
            for message in messages {
                all_ended &= self.status_and_attempts(message).await.0 != MessageStatus::Queued;
            }
            if all_ended {
                return;
            }
            self.advance(TICK);
        }
        panic!("not done after {MAX_TICKS} ticks: {:#?}", self.workers().await);
    }

    /// No user sends a message any more: runs ticks until no worker is left. Then no machine and no volume may be left.
    pub async fn scale_to_zero(&self, fleet: &mut Fleet<'_>) {
        self.advance(Policies::default().scaling.idle_timeout);
        for _ in 0..MAX_TICKS {
            self.tick_unless_held().await;
            self.assert_exclusive().await;
            fleet.work().await;
            if self.workers().await.is_empty() {
                return self.assert_empty().await;
            }
            self.advance(TICK);
        }
        panic!("workers after {MAX_TICKS} ticks: {:#?}", self.workers().await);
    }

    /// Checks that no conversation has two workers and no worker has two machines.
    pub async fn assert_exclusive(&self) {
        let may_work = |w: &Worker| matches!(w.status, WorkerStatus::Active | WorkerStatus::Draining { .. });
        let workers: Vec<Worker> = self.workers().await.into_iter().filter(may_work).collect();
        let mut owned = BTreeSet::new();
        for worker in &workers {
            if let Some(assignment) = &worker.assignment {
                assert!(
                    owned.insert(&assignment.conversation),
                    "one conversation has two workers: {workers:#?}"
                );
            }
        }
        let mut machines = BTreeMap::<WorkerId, usize>::new();
        for machine in self.backend.machines().await {
            *machines.entry(machine.worker).or_default() += 1;
        }
        assert!(machines.values().all(|n| *n == 1), "one worker has two machines: {machines:?}");
    }

    /// Checks that each machine and volume belongs to a worker with a live row.
    pub async fn assert_no_orphans(&self) {
        let live: BTreeSet<WorkerId> = self.workers().await.into_iter().map(|w| w.id).collect();
        for machine in self.backend.machines().await {
            assert!(live.contains(&machine.worker), "orphan: {machine:?}");
        }
        let names: BTreeSet<String> = live.iter().map(|w| self.volume_of(w)).collect();
        for volume in self.backend.volumes().await {
            assert!(names.contains(&volume), "orphan: volume {volume}");
        }
    }

    /// Checks that no machine and no volume exists, that each row is stopped, and that the reconcile lease is free.
    pub async fn assert_empty(&self) {
        assert_eq!((self.backend.machines().await, self.backend.volumes().await), (vec![], vec![]));
        for worker in self.backend.created().conversations.keys() {
            let row = self.app.store.stopped_worker(worker, self.app.now()).await.unwrap();
            assert!(row.is_some_and(|w| matches!(w.status, WorkerStatus::Stopped { .. })), "{worker}");
        }
        assert!(self.app.store.begin_reconcile(0, self.app.now()).await.unwrap().is_some());
    }

    fn scope(&self) -> Scope {
        Scope { app_name: APP.to_owned(), deployment_id: self.deployment.clone(), volume_name: String::new() }
    }

    fn volume_of(&self, worker: &WorkerId) -> String {
        self.provider.volume_name(&self.scope(), worker).unwrap()
    }

    /// Creates a machine and a volume for a worker that has no row.
    pub async fn create_orphan(&self, worker: &str) {
        let worker_id = WorkerId::parse(worker).unwrap();
        let spec = VolumeSpec {
            scope: self.scope(),
            worker_id: worker_id.clone(),
            name: self.volume_of(&worker_id),
            region: "fra".to_owned(),
            size_gb: 1,
        };
        let volume = self.provider.ensure_volume(&spec).await.unwrap();
        let spec = SpawnSpec {
            scope: self.scope(),
            worker_id: worker_id.clone(),
            image: "registry/orphan:1".to_owned(),
            region: "fra".to_owned(),
            guest: None,
            env: SpawnEnv::default(),
            volume: Some(volume),
            volume_path: "/data".to_owned(),
        };
        self.provider.spawn(&spec).await.unwrap();
        self.backend.forget(&worker_id);
    }

    /// The status of a message and its attempts.
    pub async fn status_and_attempts(&self, message: &MessageId) -> (MessageStatus, u32) {
        let stored = self.app.store.message(message, self.app.now(), true).await.unwrap().unwrap();
        (stored.status, stored.attempts)
    }

    /// The outcome for these messages of these conversations.
    pub async fn outcome(
        &self,
        fleet: &Fleet<'_>,
        messages: &[MessageId],
        conversations: &[&str],
    ) -> Outcome {
        let mut statuses = Vec::new();
        for message in messages {
            let (status, attempts) = self.status_and_attempts(message).await;
            statuses.push((status, attempts, fleet.completions_of(message)));
        }
        let mut missed = 0;
        for worker in self.backend.created().conversations.keys() {
            let row = self.app.store.stopped_worker(worker, self.app.now()).await.unwrap().unwrap();
            missed += usize::from(row.snapshot_missed);
        }
        let mut files = Vec::new();
        for conversation in conversations {
            files.push(fleet.latest_files(&ConversationId::parse(*conversation).unwrap()).await);
        }
        Outcome { messages: statuses, machines: self.backend.created().machines.len(), missed, files }
    }

    /// Runs ticks until a tick plans no action.
    pub async fn run_until_idle(&self) {
        for _ in 0..MAX_TICKS {
            if self.tick().await.actions.is_empty() {
                return;
            }
            self.advance(TICK);
        }
        panic!("not idle after {MAX_TICKS} ticks");
    }

    /// Every item of the table, every machine and every volume. It leaves out the machine and volume that a row names,
    /// because a late write of them is correct.
    pub async fn full_state(&self) -> BTreeSet<String> {
        let name = &self.bundle.template.tables[0].name;
        let mut answer = self.bundle.aws.engine().call("Scan", json!({"TableName": name})).await;
        assert!(answer.body["LastEvaluatedKey"].is_null(), "one page");
        let items = answer.body["Items"].as_array_mut().unwrap();
        for item in items.iter_mut().filter(|item| item["pk"]["S"] == "W") {
            for name in ["mc", "vo"] {
                item.as_object_mut().unwrap().remove(name);
            }
        }
        let items = items.iter().map(ToString::to_string);
        let machines = self.backend.machines().await.into_iter().map(|m| format!("{m:?}"));
        items.chain(machines).chain(self.backend.volumes().await).collect()
    }
}

fn agent() -> AgentKey {
    AgentKey::parse("demo").unwrap()
}
