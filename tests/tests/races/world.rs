//! A deployment with one agent, for the races of workers and callers.

use std::collections::BTreeMap;
use std::sync::Arc;

use af_api::reconcile::Report;
use af_app::App;
use af_app::agents::profiles::configure;
use af_app::intake::enqueue::{Enqueue, enqueue};
use af_app::pool::reconcile::{Reconciled, reconcile};
use af_app::pool::workers;
use af_app::worker::{DeliveredBy, Ownership, Poll, Polled, complete, poll};
use af_domain::conversation::Conversation;
use af_domain::ids::{AgentKey, ConversationId, LeaseId, MessageId, WorkerId};
use af_domain::policy::Policies;
use af_domain::worker::DrainReason;
use af_emulator_aws::Faults;
use af_store::conversation::{Commit, CompleteWith};
use af_store::conversation_key;
use af_tests::bundle::Bundle;
use af_tests::messages::hello;
use af_tests::world::agent_settings;
use aws_smithy_types::retry::RetryConfig;

pub const AGENT: &str = "demo";

/// A deployment.
pub struct World {
    pub bundle: Bundle,
    /// A function without faults.
    pub app: App,
}

/// A running message with its worker and its lease.
pub struct RunningMessage {
    pub worker: WorkerId,
    pub message: MessageId,
    pub lease: LeaseId,
}

impl World {
    pub async fn new() -> Self {
        let bundle = Bundle::fresh().await;
        Self::in_bundle(bundle).await
    }

    pub async fn in_bundle(bundle: Bundle) -> Self {
        let app = bundle.app("reconcile");
        let settings = agent_settings();
        configure(&app, &AgentKey::parse(AGENT).unwrap(), settings).await.unwrap();
        Self { bundle, app }
    }

    /// Another instance of the function, whose requests have `faults`.
    pub fn with_faults(&self, faults: Arc<dyn Faults>) -> App {
        self.with_faults_and_retries(faults, RetryConfig::disabled())
    }

    /// The same, with retries of the SDK.
    pub fn with_faults_and_retries(&self, faults: Arc<dyn Faults>, retries: RetryConfig) -> App {
        let mut boot = self.bundle.boot("reconcile");
        boot.sdk = self.bundle.aws.clone().with_faults(faults).sdk_config(retries);
        App::from_boot(&boot).unwrap()
    }

    pub fn message(&self, conversation: &ConversationId, max_attempts: Option<u32>) -> Enqueue {
        Enqueue { max_attempts, ..hello(AgentKey::parse(AGENT).unwrap(), conversation.clone()) }
    }

    pub async fn enqueue(&self, conversation: &ConversationId, max_attempts: Option<u32>) -> MessageId {
        enqueue(&self.app, self.message(conversation, max_attempts)).await.unwrap().message
    }

    /// A worker that owns `conversation`, or none.
    pub async fn worker(&self, name: &str, conversation: Option<&ConversationId>) -> WorkerId {
        let id = WorkerId::parse(name).unwrap();
        workers::register(&self.app, id.clone(), conversation, None, "http://127.0.0.1:9", None)
            .await
            .unwrap();
        id
    }

    /// The message that the worker runs after a poll that names `conversation`.
    pub async fn claim(&self, worker: &WorkerId, conversation: Option<&ConversationId>) -> RunningMessage {
        running_message(worker, self.poll(&self.app, worker, conversation).await)
    }

    pub async fn poll(&self, app: &App, worker: &WorkerId, conversation: Option<&ConversationId>) -> Polled {
        let request = Poll { conversation: conversation.cloned(), ..Poll::default() };
        poll(app, worker, &request).await.unwrap()
    }

    pub async fn complete(&self, running: &RunningMessage) {
        complete(
            &self.app,
            &running.worker,
            &running.message,
            &running.lease,
            empty_completion(),
            DeliveredBy::Worker,
        )
        .await
        .unwrap();
    }

    /// The worker releases `conversation`, in which no message waits.
    pub async fn release(&self, worker: &WorkerId, conversation: &ConversationId) {
        let request = Poll {
            conversation: Some(conversation.clone()),
            ownership: Ownership::Discard,
            ..Poll::default()
        };
        assert!(poll(&self.app, worker, &request).await.unwrap().job.is_none());
    }

    /// The worker releases the conversation of a message that has ended, and claims another message.
    pub async fn release_and_claim(&self, worker: &WorkerId, ended: &RunningMessage) -> RunningMessage {
        let message = self.app.store.message(&ended.message, self.app.now(), true).await.unwrap().unwrap();
        let request = Poll {
            conversation: Some(message.conversation),
            ownership: Ownership::Discard,
            ..Poll::default()
        };
        running_message(worker, poll(&self.app, worker, &request).await.unwrap())
    }

    pub async fn stored(&self, conversation: &ConversationId) -> Conversation {
        self.app.store.conversation(&conversation_key(conversation), true).await.unwrap().unwrap()
    }

    /// Drains a worker without a running message and finishes the drain, as reconcile does with a stale worker.
    pub async fn drain_completely(&self, worker: &WorkerId, conversation: Option<&ConversationId>) {
        let (now, policies) = (self.app.now(), Policies::default());
        let row = self.app.store.worker(worker).await.unwrap().unwrap();
        let drained = row.drain(DrainReason::Stale, now, &policies).unwrap();
        let owned = match conversation {
            Some(conversation) => Some(self.stored(conversation).await),
            None => None,
        };
        let commit = self.app.store.drain_if_active(&drained, owned.as_ref(), &policies).await.unwrap();
        assert!(matches!(commit, Commit::Done));
        let before = match conversation {
            Some(conversation) => Some(self.stored(conversation).await),
            None => None,
        };
        let after = before.as_ref().map(|c| c.released_by(worker, now, &policies).unwrap());
        let finished = drained.finish_drain(None, now).unwrap();
        let freed = before.as_ref().zip(after.as_ref());
        let commit = self.app.store.finish_drain_if_draining(&finished, freed, &policies).await.unwrap();
        assert!(matches!(commit, Commit::Done));
    }

    pub async fn reconcile(&self, app: &App) -> Report {
        match reconcile(app).await.unwrap() {
            Reconciled::Ran(report) => report,
            Reconciled::LeftToAnother => panic!("another reconcile runs"),
        }
    }
}

fn running_message(worker: &WorkerId, polled: Polled) -> RunningMessage {
    let lease = polled.job.unwrap().lease;
    RunningMessage { worker: worker.clone(), message: lease.entry.message, lease: lease.id }
}

/// A completion without history and without a reply.
pub fn empty_completion() -> CompleteWith {
    CompleteWith {
        history: vec![],
        pending_tool_calls: None,
        metadata: BTreeMap::new(),
        reply: None,
        delivery: None,
        usage: None,
    }
}

/// The conversation id `name`.
pub fn conversation_id(name: &str) -> ConversationId {
    ConversationId::parse(name).unwrap()
}

/// Actions of a report with their outcomes.
pub fn outcomes(report: &Report) -> Vec<String> {
    report.actions.iter().map(|a| format!("{} {}", a.action, a.outcome)).collect()
}
