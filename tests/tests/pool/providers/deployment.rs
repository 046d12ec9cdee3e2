//! A deployment whose workers are machines of the Fly emulator.

use std::collections::BTreeMap;
use std::sync::Arc;

use af_api::reconcile::Report;
use af_app::App;
use af_app::agents::profiles::configure;
use af_app::intake::enqueue::enqueue;
use af_app::pool::provider;
use af_app::pool::reconcile::{Reconciled, reconcile};
use af_app::worker::{DeliveredBy, Poll, complete, poll};
use af_domain::ids::{AgentKey, ConversationId, MessageId, WorkerId};
use af_domain::time::Millis;
use af_domain::worker::Worker;
use af_providers::{FlyConfig, FlyProvider, Machine, Provider, Providers, Volume};
use af_store::conversation::CompleteWith;
use af_tests::bundle::Bundle;
use af_tests::messages::hello;
use af_tests::world::agent_settings;

use crate::providers::fly::World;
use crate::providers::suite::{machines, scope};

/// The largest number of runs until a machine must be removed, with one run a minute, as in the schedule.
const MAX_RUNS: usize = 20;

pub fn agent() -> AgentKey {
    AgentKey::parse("demo").unwrap()
}

/// The config with which workers run `registry.fly.io/workers:<tag>`.
pub fn config(tag: &str) -> FlyConfig {
    FlyConfig {
        app_name: Some("workers".to_owned()),
        image: Some(format!("registry.fly.io/workers:{tag}")),
        region: Some("fra".to_owned()),
        ..FlyConfig::default()
    }
}

pub struct Pool {
    pub world: Arc<World>,
    pub bundle: Bundle,
    pub app: App,
    pub provider: FlyProvider,
}

impl Pool {
    /// A deployment with one agent, whose workers run on the Fly emulator.
    pub async fn new() -> Self {
        let bundle = Bundle::fresh().await;
        let deployment = bundle.app("reconcile").deployment_id;
        let world = World::by(bundle.clock.clone(), &deployment).await;
        Self::over(Arc::new(world), bundle).await
    }

    /// The same with a message that waits for a worker.
    pub async fn with_work() -> Self {
        let pool = Self::new().await;
        pool.enqueue("talk").await;
        pool
    }

    /// Another deployment with this id, in the same app.
    pub async fn neighbour(&self, deployment: &str) -> Self {
        Self::over(self.world.clone(), self.bundle.beside(deployment).await).await
    }

    async fn over(world: Arc<World>, mut bundle: Bundle) -> Self {
        let provider = world.provider_of(&bundle.app("reconcile").deployment_id);
        bundle.providers = Providers::none().with(Arc::new(provider.clone()));
        let app = bundle.app("reconcile");
        let settings = agent_settings();
        configure(&app, &agent(), settings).await.unwrap();
        provider::configure(&app, &config("1").into()).await.unwrap();
        Self { world, bundle, app, provider }
    }

    pub async fn enqueue(&self, conversation: &str) -> MessageId {
        let message = hello(agent(), ConversationId::parse(conversation).unwrap());
        enqueue(&self.app, message).await.unwrap().message
    }

    /// A run of a new instance of reconcile, which has only the permissions of the template.
    pub async fn run(&self) -> Report {
        let function = self.bundle.restricted_app("reconcile");
        match Box::pin(reconcile(&function)).await.unwrap() {
            Reconciled::Ran(report) => report,
            Reconciled::LeftToAnother => panic!("no other reconcile runs"),
        }
    }

    pub fn advance(&self, by: Millis) {
        self.bundle.clock.advance(by);
    }

    pub async fn machines(&self) -> Vec<Machine> {
        machines(&self.provider).await
    }

    pub async fn volumes(&self) -> Vec<Volume> {
        self.provider.list_volumes(&scope()).await.unwrap().ours
    }

    pub async fn rows(&self) -> Vec<Worker> {
        self.app.store.workers().await.unwrap()
    }

    pub async fn worker_ids(&self) -> Vec<String> {
        self.rows().await.into_iter().map(|w| w.id.to_string()).collect()
    }

    /// Runs reconcile once a minute until `done`.
    pub async fn until(&self, what: &str, done: impl AsyncFn(&Self) -> bool) {
        for _ in 0..MAX_RUNS {
            if done(self).await {
                return;
            }
            self.advance(Millis::from_secs(60));
            self.run().await;
        }
        panic!("not after {MAX_RUNS} runs: {what}");
    }

    /// The worker of a machine claims its message, completes it and polls again.
    pub async fn serve(&self, worker: &WorkerId) {
        let row = self.app.store.worker_now(worker).await.unwrap().unwrap();
        let conversation = row.assignment.map(|a| a.conversation);
        let request = Poll { conversation, ..Poll::default() };
        let job = poll(&self.app, worker, &request).await.unwrap().job.unwrap();
        let lease = job.lease;
        let completion = CompleteWith {
            history: vec![],
            pending_tool_calls: None,
            metadata: BTreeMap::new(),
            reply: None,
            delivery: None,
            usage: None,
        };
        complete(&self.app, worker, &lease.entry.message, &lease.id, completion, DeliveredBy::Worker)
            .await
            .unwrap();
        self.sign_of_life(worker).await;
    }

    /// A poll of a worker without a due message.
    pub async fn sign_of_life(&self, worker: &WorkerId) {
        let row = self.app.store.worker_now(worker).await.unwrap().unwrap();
        let request = Poll { conversation: row.assignment.map(|a| a.conversation), ..Poll::default() };
        assert!(poll(&self.app, worker, &request).await.unwrap().job.is_none());
    }
}

/// Actions of a report with their outcomes.
pub fn outcomes(report: &Report) -> Vec<String> {
    report.actions.iter().map(|a| format!("{} {}: {}", a.action, a.subject, a.outcome)).collect()
}
