//! Machines that take their time to end, a provider that takes its time to answer, and runs that are interrupted: what
//! runs on a worker is cut for none of them, and what has ended is given back in spite of them.

use std::sync::{Arc, Mutex};

use af_app::App;
use af_app::pool::reconcile::reconcile;
use af_app::worker::{Poll, complete, poll};
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

/// Past the end of a lease, of the reconcile lease and of the grace for a machine, and before a worker is stale.
const PAST_A_LEASE: Millis = Millis::from_secs(91);

fn talk() -> ConversationId {
    ConversationId::parse("talk").unwrap()
}

impl Pool {
    /// A worker claims what waits in `talk`.
    pub async fn claims(&self, worker: &WorkerId) -> af_app::worker::bundle::Job {
        let request = Poll { conversation: Some(talk()), ..Poll::default() };
        poll(&self.app, worker, &request).await.unwrap().job.unwrap()
    }

    /// Another instance of the function, with this between it and the table.
    fn function(&self, faults: impl Faults + 'static) -> App {
        let mut boot = self.bundle.boot("reconcile");
        boot.sdk = self.bundle.aws.clone().with_faults(Arc::new(faults)).sdk_config(RetryConfig::disabled());
        App::from_boot(&boot).unwrap()
    }
}

#[tokio::test]
async fn a_worker_whose_machine_is_stopping_ends_its_message_and_has_time_for_its_files() {
    let pool = Pool::with_work().await;
    pool.run().await;
    let machine = pool.machines().await.remove(0);
    pool.world.fly.fault(Action::StopMachine, &Fault::StuckStopping, 1);
    assert_eq!(pool.provider.stop(&machine.machine).await.unwrap(), StopOutcome::Stopping);
    let job = pool.claims(&machine.worker_id).await;

    let told = pool.run().await;
    assert_eq!(outcomes(&told), [format!("drain worker {}: done", machine.worker_id)]);
    let row = pool.rows().await.remove(0);
    assert!(matches!(row.status, WorkerStatus::Draining { reason: DrainReason::Signal, .. }), "{row:?}");
    let said =
        CompleteWith { history: vec![], pending_tool_calls: None, metadata: Default::default(), reply: None };
    let message = &job.lease.entry.message;
    complete(&pool.app, &machine.worker_id, message, &job.lease.id, said).await.unwrap();
    let waits = pool.run().await;
    assert_eq!((outcomes(&waits), &*waits.waits[0].waits_for), (vec![], "its final snapshot"));
}

#[tokio::test]
async fn a_lease_that_expired_does_not_wait_for_a_slow_provider() {
    let pool = Pool::with_work().await;
    pool.app.store.put_config("policies", &json!({"scaling": {"spawnStep": 9}}).to_string()).await.unwrap();
    pool.run().await;
    pool.claims(&pool.machines().await[0].worker_id).await;
    pool.pass(PAST_A_LEASE);
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

/// Holds up the first strong read of a conversation until the gate opens, and tells when it comes.
struct Freezes {
    conversation: String,
    first: Mutex<bool>,
    comes: Arc<Notify>,
    gate: Gate,
}

impl Faults for Freezes {
    fn before(&self, request: &WireRequest) -> TableFault {
        let reads = request.operation == "GetItem" && request.body["ConsistentRead"] == true;
        let of_it = request.body["Key"]["pk"]["S"].as_str().is_some_and(|pk| pk.contains(&self.conversation));
        if reads && of_it && std::mem::take(&mut *self.first.lock().unwrap()) {
            self.comes.notify_one();
            return TableFault::HeldUp(self.gate.clone());
        }
        TableFault::None
    }
}

#[tokio::test]
async fn a_frozen_run_that_would_cut_the_lease_of_a_worker_that_is_gone_cuts_nobody_elses() {
    let pool = Pool::with_work().await;
    pool.run().await;
    let machine = pool.machines().await.remove(0);
    pool.claims(&machine.worker_id).await;
    pool.pass(PAST_A_LEASE);
    assert!(pool.world.fly.vanish("workers", &machine.machine.machine_id).await);
    let (comes, gate) = (Arc::new(Notify::new()), Gate::default());
    let slow = pool.function(Freezes {
        conversation: conversation_key(&talk()).to_string(),
        first: Mutex::new(true),
        comes: comes.clone(),
        gate: gate.clone(),
    });
    let meanwhile = async {
        comes.notified().await;
        pool.pass(PAST_A_LEASE);
        pool.until("another has its conversation", async |pool| !pool.machines().await.is_empty()).await;
        pool.pass(Millis::from_secs(60));
        let other = pool.machines().await.remove(0).worker_id;
        let job = pool.claims(&other).await;
        gate.open();
        (other, job.lease.id)
    };
    let (late, (other, lease)) = tokio::join!(Box::pin(reconcile(&slow)), Box::pin(meanwhile));
    let key = conversation_key(&talk());
    let held = pool.app.store.conversation(&key, true).await.unwrap().unwrap().lease;
    assert_eq!(held.map(|l| (l.worker, l.id)), Some((other, lease)), "{late:?}");
}

/// The report of a run is never written.
struct LosesTheReport;

impl Faults for LosesTheReport {
    fn before(&self, request: &WireRequest) -> TableFault {
        let ends = request.operation == "UpdateItem" && request.body.to_string().contains("rp0");
        if ends { TableFault::LoseRequest } else { TableFault::None }
    }
}

#[tokio::test]
async fn a_run_that_cannot_end_leaves_to_the_next_what_it_knows() {
    let pool = Pool::with_work().await;
    pool.world.fly.fault(Action::CreateMachine, &Fault::status(503), 1);
    let function = pool.function(LosesTheReport);
    assert!(Box::pin(reconcile(&function)).await.is_err());
    assert_eq!(pool.app.store.reconcile_state().await.unwrap().failures, 1);
    pool.run().await;
    assert_eq!(pool.machines().await.len(), 1, "nobody holds the lease");
}

/// Reads of workers' rows that must be up to date are lost.
struct LosesRows;

impl Faults for LosesRows {
    fn before(&self, request: &WireRequest) -> TableFault {
        let of_row = request.operation == "GetItem" && request.body["Key"]["pk"]["S"] == "W";
        let lost = of_row && request.body["ConsistentRead"] == true;
        if lost { TableFault::LoseRequest } else { TableFault::None }
    }
}

#[tokio::test]
async fn a_start_that_fails_on_our_side_after_its_row_counts_as_failed_too_and_makes_a_pause() {
    let pool = Pool::with_work().await;
    let function = pool.function(LosesRows);
    for failures in 1..=3 {
        Box::pin(reconcile(&function)).await.unwrap();
        assert_eq!(pool.app.store.reconcile_state().await.unwrap().failures, failures);
    }
    let rows = pool.rows().await;
    let paused = pool.run().await;
    assert!(paused.waits.iter().any(|w| w.subject == "spawning" && w.until.is_some()), "{paused:?}");
    assert!(pool.rows().await.len() <= rows.len(), "nothing is started, so nothing calls for the next run");
}

#[tokio::test]
async fn workers_that_never_come_up_are_failed_spawns_and_make_a_pause() {
    let pool = Pool::with_work().await;
    for _ in 0..3 {
        pool.until("a worker is started", async |pool| !pool.machines().await.is_empty()).await;
        let machine = pool.machines().await.remove(0);
        pool.pass(PAST_A_LEASE);
        assert!(pool.world.fly.vanish("workers", &machine.machine.machine_id).await);
        pool.run().await;
    }
    assert_eq!(pool.app.store.reconcile_state().await.unwrap().failures, 3);
    let paused = pool.run().await;
    assert!(paused.waits.iter().any(|w| w.subject == "spawning" && w.until.is_some()), "{paused:?}");
}
