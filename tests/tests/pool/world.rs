//! A deployment whose workers run on the stand-in, and what must hold of it at any time and at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use af_app::App;
use af_app::agents::profiles::configure;
use af_app::intake::enqueue::{Enqueue, enqueue};
use af_app::pool::provider;
use af_app::pool::reconcile::{Reconciled, Report, reconcile};
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

use crate::crew::Crew;
use crate::stand::{APP, Stand};
use crate::steps::Steps;

/// Between two ticks of the schedule.
pub const TICK: Millis = Millis::from_secs(60);
/// Ticks until all is done: all that may follow a function's death or a provider's failures, after which it is left in
/// peace for up to ten minutes each, and a few more.
const TICKS_MAX: usize = 60;

pub struct World {
    pub bundle: Bundle,
    pub stand: Stand,
    /// A function that nothing happens to.
    pub app: App,
    pub objects: Objects,
    deployment: String,
    provider: Arc<dyn Provider>,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// The end of each message, its attempts, and how often a worker was told that it is done.
    pub messages: Vec<(MessageStatus, u32, usize)>,
    /// Machines that were ever made.
    pub machines: usize,
    /// Workers that left without the snapshot that they owed.
    pub missed: usize,
    /// The files of each conversation, as the next worker would find them.
    pub files: Vec<String>,
}

impl World {
    /// The ready index has one shard here, so that a tick takes no more steps than it must.
    pub async fn new() -> Self {
        Self::with_policies(json!({"queue": {"readyShards": 1}})).await
    }

    pub async fn with_policies(overrides: Value) -> Self {
        let bundle = Bundle::fresh().await;
        let stand = Stand::fly(&bundle.clock);
        Self::on(bundle, stand, overrides).await
    }

    /// The same on this machine.
    pub async fn local() -> Self {
        let bundle = Bundle::fresh().await;
        let stand = Stand::local(&bundle.clock);
        Self::on(bundle, stand, json!({"queue": {"readyShards": 1}})).await
    }

    async fn on(mut bundle: Bundle, stand: Stand, overrides: Value) -> Self {
        let deployment = bundle.app("reconcile").deployment_id;
        let provider = stand.provider(&deployment, None).await;
        bundle.providers = Providers::none().with(provider.clone());
        let app = bundle.app("reconcile");
        let settings = agent_settings();
        configure(&app, &agent(), settings).await.unwrap();
        // Not by the use case, which takes no shard away.
        app.store.put_config("policies", &overrides.to_string()).await.unwrap();
        provider::configure(&app, &stand.config()).await.unwrap();
        let objects = bundle.boot("effects").objects().unwrap();
        Self { bundle, stand, app, objects, deployment, provider }
    }

    /// Another instance of the function, with its own network.
    pub async fn function(&self, steps: &Arc<Steps>) -> App {
        let mut boot = self.bundle.boot("reconcile");
        if self.stand.counts_the_table() {
            boot.sdk = self.bundle.aws.clone().with_faults(steps.clone()).sdk_config(RetryConfig::disabled());
        }
        let provider = self.stand.provider(&self.deployment, Some(steps.clone())).await;
        boot.providers = Providers::none().with(provider);
        App::from_boot(&boot).unwrap()
    }

    pub async fn enqueue(&self, talk: &str) -> MessageId {
        self.enqueue_for(talk, None).await
    }

    /// A message that is due then.
    pub async fn enqueue_for(&self, talk: &str, due: Option<Timestamp>) -> MessageId {
        let message = hello(agent(), ConversationId::parse(talk).unwrap());
        let message = Enqueue { scheduled_for: due, ..message };
        enqueue(&self.app, message).await.unwrap().message
    }

    /// A tick that finds nobody at work.
    pub async fn tick(&self) -> Report {
        self.tick_unless_held().await.expect("nobody else reconciles")
    }

    /// A tick; `None` when somebody else is, or was, at work.
    pub async fn tick_unless_held(&self) -> Option<Report> {
        match Box::pin(reconcile(&self.app)).await.unwrap() {
            Reconciled::Ran(report) => Some(report),
            Reconciled::LeftToAnother => None,
        }
    }

    pub fn pass(&self, by: Millis) {
        self.bundle.clock.advance(by);
    }

    /// Workers go on until the lease of a function that died, or was frozen, is over.
    pub async fn outlive_the_lease(&self, crew: &mut Crew<'_>) {
        for _ in 0..2 {
            crew.work().await;
            self.pass(Millis::new(RECONCILE_LEASE.as_millis() / 2));
        }
    }

    pub async fn workers(&self) -> Vec<Worker> {
        self.app.store.workers().await.unwrap()
    }

    /// Ticks, with workers at work between them, until all `messages` have ended.
    pub async fn serve(&self, crew: &mut Crew<'_>, messages: &[MessageId]) {
        for _ in 0..TICKS_MAX {
            self.tick_unless_held().await;
            self.pass(Millis::from_secs(1));
            crew.work().await;
            self.holds().await;
            let mut over = true;
            for message in messages {
                over &= self.end_of(message).await.0 != MessageStatus::Queued;
            }
            if over {
                return;
            }
            self.pass(TICK);
        }
        panic!("not done after {TICKS_MAX} ticks: {:#?}", self.workers().await);
    }

    /// Nobody talks any more: ticks until no worker is left. Nothing else may be left then either.
    pub async fn close(&self, crew: &mut Crew<'_>) {
        self.pass(Policies::default().scaling.idle_timeout);
        for _ in 0..TICKS_MAX {
            self.tick_unless_held().await;
            self.holds().await;
            crew.work().await;
            if self.workers().await.is_empty() {
                return self.leaves_nothing().await;
            }
            self.pass(TICK);
        }
        panic!("workers after {TICKS_MAX} ticks: {:#?}", self.workers().await);
    }

    /// No conversation has two workers, nor two machines whose workers may work for it.
    pub async fn holds(&self) {
        let may_work = |w: &Worker| matches!(w.status, WorkerStatus::Active | WorkerStatus::Draining { .. });
        let workers: Vec<Worker> = self.workers().await.into_iter().filter(may_work).collect();
        let mut owned = BTreeSet::new();
        for worker in &workers {
            if let Some(assignment) = &worker.assignment {
                assert!(owned.insert(&assignment.conversation), "two workers for one: {workers:#?}");
            }
        }
        let mut machines = BTreeMap::<WorkerId, usize>::new();
        for machine in self.stand.machines().await {
            *machines.entry(machine.worker).or_default() += 1;
        }
        assert!(machines.values().all(|n| *n == 1), "two machines of one worker: {machines:?}");
    }

    /// No machine or volume without a live row.
    pub async fn nothing_is_lost(&self) {
        let live: BTreeSet<WorkerId> = self.workers().await.into_iter().map(|w| w.id).collect();
        for machine in self.stand.machines().await {
            assert!(live.contains(&machine.worker), "nobody's: {machine:?}");
        }
        let names: BTreeSet<String> = live.iter().map(|w| self.volume_of(w)).collect();
        for volume in self.stand.volumes().await {
            assert!(names.contains(&volume), "nobody's: volume {volume}");
        }
    }

    /// No machine and no volume is there, no row without its end, and nobody holds the reconcile lease.
    pub async fn leaves_nothing(&self) {
        assert_eq!((self.stand.machines().await, self.stand.volumes().await), (vec![], vec![]));
        for worker in self.stand.ever().conversations.keys() {
            let row = self.app.store.stopped_worker(worker, self.app.now()).await.unwrap();
            assert!(row.is_some_and(|w| matches!(w.status, WorkerStatus::Stopped { .. })), "{worker}");
        }
        assert!(self.app.store.begin_reconcile(0, self.app.now()).await.unwrap().is_some());
    }

    fn scope(&self) -> Scope {
        Scope { app_name: APP.to_owned(), deployment_id: self.deployment.clone(), volume_name: String::new() }
    }

    fn volume_of(&self, worker: &WorkerId) -> String {
        self.provider.volume_name(&self.scope(), worker)
    }

    /// A machine with its volume for a worker that has no row.
    pub async fn stray(&self, worker: &str) {
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
            image: "registry/stray:1".to_owned(),
            region: "fra".to_owned(),
            guest: None,
            env: SpawnEnv::default(),
            volume: Some(volume),
            volume_path: "/data".to_owned(),
        };
        self.provider.spawn(&spec).await.unwrap();
        self.stand.forget(&worker_id);
    }

    /// How a message stands, and its attempts.
    pub async fn end_of(&self, message: &MessageId) -> (MessageStatus, u32) {
        let stored = self.app.store.message(message, self.app.now(), true).await.unwrap().unwrap();
        (stored.status, stored.attempts)
    }

    /// How it ended, for these messages of these conversations.
    pub async fn ended(&self, crew: &Crew<'_>, messages: &[MessageId], talks: &[&str]) -> Ended {
        let mut ended = Vec::new();
        for message in messages {
            let (status, attempts) = self.end_of(message).await;
            ended.push((status, attempts, crew.answers_to(message)));
        }
        let mut missed = 0;
        for worker in self.stand.ever().conversations.keys() {
            let row = self.app.store.stopped_worker(worker, self.app.now()).await.unwrap().unwrap();
            missed += usize::from(row.snapshot_missed);
        }
        let mut files = Vec::new();
        for talk in talks {
            files.push(crew.kept(&ConversationId::parse(*talk).unwrap()).await);
        }
        Ended { messages: ended, machines: self.stand.ever().machines.len(), missed, files }
    }

    /// Ticks until there is nothing to do.
    pub async fn come_to_rest(&self) {
        for _ in 0..TICKS_MAX {
            if self.tick().await.actions.is_empty() {
                return;
            }
            self.pass(TICK);
        }
        panic!("no rest after {TICKS_MAX} ticks");
    }

    /// Every item of the table, every machine and every volume. Left out is which machine and volume a row names: that is
    /// true whenever it is said.
    pub async fn everything(&self) -> BTreeSet<String> {
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
        let machines = self.stand.machines().await.into_iter().map(|m| format!("{m:?}"));
        items.chain(machines).chain(self.stand.volumes().await).collect()
    }
}

fn agent() -> AgentKey {
    AgentKey::parse("demo").unwrap()
}
