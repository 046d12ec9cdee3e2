//! Slow machines, a slow provider, and interrupted runs: no running message loses its lease because of them, and
//! expired leases are recovered in spite of them.

use std::sync::{Arc, Mutex};

use af_app::App;
use af_app::pool::reconcile::reconcile;
use af_app::worker::{DeliveredBy, Poll, complete, poll};
use af_domain::ids::{ConversationId, WorkerId};
use af_domain::time::Millis;
use af_domain::worker::{DrainReason, WorkerStatus};
use af_emulator_aws::{Fault as TableFault, Faults, Gate, WireRequest};
use af_emulator_fly::{Action, Fault};
use af_providers::{Provider, StopOutcome};
use af_store::conversation::CompleteWith;
use af_store::conversation_key;
use aws_smithy_types::retry::RetryConfig;
use serde_json::json;
use tokio::sync::Notify;

use crate::providers::deployment::{Pool, outcomes};

/// After the end of a lease, of the reconcile lease and of the grace period of a machine; before a worker is stale.
const PAST_A_LEASE: Millis = Millis::from_secs(91);

fn conversation() -> ConversationId {
    ConversationId::parse("talk").unwrap()
}

impl Pool {
    /// A worker claims the next message of the conversation.
    pub async fn claim(&self, worker: &WorkerId) -> af_app::worker::bundle::Job {
        let request = Poll { conversation: Some(conversation()), ..Poll::default() };
        poll(&self.app, worker, &request).await.unwrap().job.unwrap()
    }

    /// Another instance of the function, with these faults of the table.
    fn function(&self, faults: impl Faults + 'static) -> App {
        let mut boot = self.bundle.boot("reconcile");
        boot.sdk = self.bundle.aws.clone().with_faults(Arc::new(faults)).sdk_config(RetryConfig::disabled());
        App::from_boot(&boot).unwrap()
    }
}

#[tokio::test]
async fn a_worker_whose_machine_is_stopping_finishes_its_message_and_makes_its_final_snapshot() {
    let pool = Pool::with_work().await;
    pool.run().await;
    let machine = pool.machines().await.remove(0);
    pool.world.fly.fault(Action::StopMachine, &Fault::StuckStopping, 1);
    assert_eq!(pool.provider.stop(&machine.machine).await.unwrap(), StopOutcome::Stopping);
    let job = pool.claim(&machine.worker_id).await;

    let report = pool.run().await;
    assert_eq!(outcomes(&report), [format!("drain worker {}: done", machine.worker_id)]);
    let row = pool.rows().await.remove(0);
    assert!(matches!(row.status, WorkerStatus::Draining { reason: DrainReason::Signal, .. }), "{row:?}");
    let completion = CompleteWith {
        history: vec![],
        pending_tool_calls: None,
        metadata: Default::default(),
        reply: None,
        delivery: None,
        usage: None,
    };
    let message = &job.lease.entry.message;
    complete(&pool.app, &machine.worker_id, message, &job.lease.id, completion, DeliveredBy::Worker)
        .await
        .unwrap();
    let second_report = pool.run().await;
    assert_eq!(
        (outcomes(&second_report), &*second_report.waits[0].waits_for),
        (vec![], "its final snapshot")
    );
}

#[tokio::test]
async fn an_expired_lease_is_recovered_while_the_provider_is_slow() {
    let pool = Pool::with_work().await;
    pool.app.store.put_config("policies", &json!({"scaling": {"spawnStep": 9}}).to_string()).await.unwrap();
    pool.run().await;
    pool.claim(&pool.machines().await[0].worker_id).await;
    pool.advance(PAST_A_LEASE);
    for n in 0..9 {
        pool.enqueue(&format!("other-{n}")).await;
    }
    for action in [Action::CreateVolume, Action::CreateMachine] {
        pool.world.fly.fault(action, &Fault::Late { ms: 9_000 }, 9);
    }
    let ran = outcomes(&pool.run().await);
    assert!(ran.contains(&"recover conversation talk: done".to_owned()), "{ran:#?}");
    assert!(
        ran.iter().any(|o| o.ends_with("waiting: the next run, because the time of this one is up")),
        "{ran:#?}"
    );
}

/// Blocks the first strong read of a conversation until the gate opens, and notifies the test of it.
struct FrozenRead {
    conversation: String,
    is_first: Mutex<bool>,
    arrived: Arc<Notify>,
    gate: Gate,
}

impl Faults for FrozenRead {
    fn before(&self, request: &WireRequest) -> TableFault {
        let reads = request.operation == "GetItem" && request.body["ConsistentRead"] == true;
        let of_it = request.body["Key"]["pk"]["S"].as_str().is_some_and(|pk| pk.contains(&self.conversation));
        if reads && of_it && std::mem::take(&mut *self.is_first.lock().unwrap()) {
            self.arrived.notify_one();
            return TableFault::HeldUp(self.gate.clone());
        }
        TableFault::None
    }
}

#[tokio::test]
async fn a_frozen_run_does_not_end_the_lease_of_the_next_worker_after_it_is_thawed() {
    let pool = Pool::with_work().await;
    pool.run().await;
    let machine = pool.machines().await.remove(0);
    pool.claim(&machine.worker_id).await;
    pool.advance(PAST_A_LEASE);
    assert!(pool.world.fly.vanish("workers", &machine.machine.machine_id).await);
    let (arrived, gate) = (Arc::new(Notify::new()), Gate::default());
    let slow = pool.function(FrozenRead {
        conversation: conversation_key(&conversation()).to_string(),
        is_first: Mutex::new(true),
        arrived: arrived.clone(),
        gate: gate.clone(),
    });
    let meanwhile = async {
        arrived.notified().await;
        pool.advance(PAST_A_LEASE);
        pool.until("another worker owns the conversation", async |pool| !pool.machines().await.is_empty())
            .await;
        pool.advance(Millis::from_secs(60));
        let other = pool.machines().await.remove(0).worker_id;
        let job = pool.claim(&other).await;
        gate.open();
        (other, job.lease.id)
    };
    let (late, (other, lease)) = tokio::join!(Box::pin(reconcile(&slow)), Box::pin(meanwhile));
    let key = conversation_key(&conversation());
    let held = pool.app.store.conversation(&key, true).await.unwrap().unwrap().lease;
    assert_eq!(held.map(|l| (l.worker, l.id)), Some((other, lease)), "{late:?}");
}

/// Loses the write of a run's report.
struct LostReport;

impl Faults for LostReport {
    fn before(&self, request: &WireRequest) -> TableFault {
        let ends = request.operation == "UpdateItem" && request.body.to_string().contains("rp0");
        if ends { TableFault::LoseRequest } else { TableFault::None }
    }
}

#[tokio::test]
async fn a_run_that_cannot_write_its_report_keeps_its_count_of_failures() {
    let pool = Pool::with_work().await;
    pool.world.fly.fault(Action::CreateMachine, &Fault::status(503), 1);
    let function = pool.function(LostReport);
    assert!(Box::pin(reconcile(&function)).await.is_err());
    assert_eq!(pool.app.store.reconcile_state().await.unwrap().failures, 1);
    pool.run().await;
    assert_eq!(pool.machines().await.len(), 1, "the reconcile lease is free");
}

/// Loses the strong reads of workers' rows.
struct LostRowReads;

impl Faults for LostRowReads {
    fn before(&self, request: &WireRequest) -> TableFault {
        let of_row = request.operation == "GetItem" && request.body["Key"]["pk"]["S"] == "W";
        let lost = of_row && request.body["ConsistentRead"] == true;
        if lost { TableFault::LoseRequest } else { TableFault::None }
    }
}

#[tokio::test]
async fn a_spawn_that_fails_after_its_row_was_written_counts_for_the_cool_down() {
    let pool = Pool::with_work().await;
    let function = pool.function(LostRowReads);
    for failures in 1..=3 {
        Box::pin(reconcile(&function)).await.unwrap();
        assert_eq!(pool.app.store.reconcile_state().await.unwrap().failures, failures);
    }
    let rows = pool.rows().await;
    let in_cool_down = pool.run().await;
    assert!(
        in_cool_down.waits.iter().any(|w| w.subject == "spawning" && w.until.is_some()),
        "{in_cool_down:?}"
    );
    assert!(pool.rows().await.len() <= rows.len(), "no spawn is tried, so no write triggers the next run");
}

#[tokio::test]
async fn workers_that_never_start_count_as_failed_spawns_for_the_cool_down() {
    let pool = Pool::with_work().await;
    for _ in 0..3 {
        pool.until("a worker is started", async |pool| !pool.machines().await.is_empty()).await;
        let machine = pool.machines().await.remove(0);
        pool.advance(PAST_A_LEASE);
        assert!(pool.world.fly.vanish("workers", &machine.machine.machine_id).await);
        pool.run().await;
    }
    assert_eq!(pool.app.store.reconcile_state().await.unwrap().failures, 3);
    let in_cool_down = pool.run().await;
    assert!(
        in_cool_down.waits.iter().any(|w| w.subject == "spawning" && w.until.is_some()),
        "{in_cool_down:?}"
    );
}
