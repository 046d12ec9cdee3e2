//! Orphans: machines and volumes with our mark and without a row of a live worker.

use std::sync::{Arc, Mutex};

use af_app::App;
use af_app::pool::reconcile::reconcile;
use af_domain::ids::WorkerId;
use af_domain::time::Millis;
use af_domain::worker::Worker;
use af_emulator_aws::{Fault, Faults, WireRequest};
use af_emulator_fly as fly;
use af_providers::Provider;
use af_store::keys;
use aws_smithy_types::retry::RetryConfig;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::providers::deployment::{Pool, outcomes};
use crate::providers::suite::{TestBench, spawn_spec, volume_spec, worker};

const MINUTE: Millis = Millis::from_secs(60);
/// `scaling.providerGraceMs`.
const GRACE: Millis = Millis::from_secs(90);
/// The time between two searches for orphans in a quiet pool.
const SEARCH_INTERVAL: Millis = Millis::from_secs(600);
/// The real time for which a request is delayed, so that other requests come first.
const DELAY: Millis = Millis::new(300);

impl Pool {
    /// Creates a machine with its volume for a worker without a row, as after a run that was taken for dead.
    pub async fn create_orphan(&self, id: &str) -> WorkerId {
        let worker = worker(id);
        let mut volume = volume_spec(&self.provider, &worker);
        volume.scope.deployment_id.clone_from(&self.app.deployment_id);
        volume.name = self.provider.volume_name(&volume.scope, &worker).unwrap();
        let volume = self.provider.ensure_volume(&volume).await.unwrap();
        let mut machine = spawn_spec(&worker, Some(volume));
        machine.scope.deployment_id.clone_from(&self.app.deployment_id);
        self.provider.spawn(&machine).await.unwrap();
        self.world.advance(std::time::Duration::from_secs(1)).await;
        worker
    }

    async fn lose_row(&self, worker: &WorkerId) {
        let key = keys::worker(worker);
        self.write_raw("DeleteItem", json!({"Key": {"pk": {"S": key.pk}, "sk": {"S": key.sk}}})).await;
    }

    /// One direct write to the table, which the use cases would not make.
    async fn write_raw(&self, operation: &str, mut request: Value) {
        request["TableName"] = json!(self.bundle.template.tables[0].name);
        let answer = self.bundle.aws.engine().call(operation, request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_machine_without_a_row_is_removed_with_its_volume_and_other_machines_stay() {
    let pool = Pool::with_work().await;
    pool.enqueue("other").await;
    pool.run().await;
    let [kept, lost] = pool.machines().await.try_into().unwrap();
    pool.lose_row(&lost.worker_id).await;
    let lost_at = pool.app.now();
    pool.until("the machine without a row and its volume are gone", async |pool| {
        pool.machines().await.len() == 1 && pool.volumes().await.len() == 1
    })
    .await;
    let took = pool.app.now().since(lost_at);
    assert!(took >= GRACE, "removed after {took}");
    assert_eq!(pool.machines().await[0].machine, kept.machine);
    assert_eq!(pool.volumes().await[0].attached_to.as_ref(), Some(&kept.machine.machine_id));
    assert_eq!(pool.worker_ids().await, [kept.worker_id.to_string()]);
}

#[tokio::test]
async fn an_orphan_is_found_and_removed_in_a_pool_without_workers() {
    let pool = Pool::new().await;
    assert!(pool.run().await.errors.is_empty());
    let before = pool.world.fly.requests();
    for _ in 0..5 {
        pool.advance(MINUTE);
        pool.run().await;
    }
    assert_eq!(pool.world.fly.requests(), before, "an empty pool sends no requests to the provider");

    pool.create_orphan("w-late").await;
    pool.advance(SEARCH_INTERVAL);
    let report = pool.run().await;
    let wait = report.waits.iter().find(|w| w.subject.starts_with("machine ")).unwrap();
    assert_eq!(wait.until, Some((pool.app.now() + GRACE).as_millis()));
    assert_eq!(pool.machines().await.len(), 1, "the machine stays for its grace period");
    pool.until("nothing is left", async |pool| {
        pool.machines().await.is_empty() && pool.volumes().await.is_empty()
    })
    .await;
    pool.run().await;
    let quiet = pool.world.fly.requests();
    pool.advance(MINUTE);
    assert!(pool.run().await.actions.is_empty());
    assert_eq!(pool.world.fly.requests(), quiet, "the empty pool sends no requests again");
}

#[tokio::test]
async fn a_volume_without_a_machine_is_removed_as_an_orphan() {
    let pool = Pool::new().await;
    let orphan = pool.create_orphan("w-late").await;
    let machine = pool.machines().await.remove(0);
    assert!(pool.world.fly.vanish("workers", &machine.machine.machine_id).await);
    pool.run().await;
    assert_eq!(pool.volumes().await.len(), 1, "{orphan} may still register");
    pool.until("its volume is gone", async |pool| pool.volumes().await.is_empty()).await;
}

/// Delays the first strong read of one worker's row, and notifies the test of it.
struct DelayedRowRead {
    worker: String,
    is_first: Mutex<bool>,
    arrived: Arc<Notify>,
}

impl Faults for DelayedRowRead {
    fn before(&self, request: &WireRequest) -> Fault {
        let reads = request.operation == "GetItem" && request.body["Key"]["sk"]["S"] == self.worker;
        if reads && std::mem::take(&mut *self.is_first.lock().unwrap()) {
            self.arrived.notify_one();
            return Fault::Delay(DELAY);
        }
        Fault::None
    }
}

#[tokio::test]
async fn a_row_that_is_registered_before_the_removal_keeps_its_machine() {
    let pool = Pool::new().await;
    let orphan = pool.create_orphan("w-late").await;
    pool.run().await;
    pool.advance(GRACE);
    let arrived = Arc::new(Notify::new());
    let delayed =
        DelayedRowRead { worker: orphan.to_string(), is_first: Mutex::new(true), arrived: arrived.clone() };
    let mut boot = pool.bundle.boot("reconcile");
    boot.sdk = pool.bundle.aws.clone().with_faults(Arc::new(delayed)).sdk_config(RetryConfig::disabled());
    let slow = App::from_boot(&boot).unwrap();
    let register = async {
        arrived.notified().await;
        let row = Worker::registered(orphan.clone(), "fly".to_owned(), pool.app.now());
        pool.app.store.register_if_new(&row, None, None).await.unwrap();
    };
    let (ran, ()) = tokio::join!(Box::pin(reconcile(&slow)), register);
    let af_app::pool::reconcile::Reconciled::Ran(report) = ran.unwrap() else {
        panic!("no other reconcile runs")
    };
    let machine = pool.machines().await.remove(0);
    assert_eq!(outcomes(&report), [format!("remove machine {}: stale", machine.machine.machine_id)]);
    assert!(machine.state.is_running());
}

#[tokio::test]
async fn an_orphan_that_does_not_stop_is_removed_by_force() {
    let pool = Pool::new().await;
    pool.create_orphan("w-stuck").await;
    pool.world.fly.fault(fly::Action::StopMachine, &fly::Fault::StuckStopping, 1);
    pool.until("the machine is gone", async |pool| {
        pool.machines().await.is_empty() && pool.volumes().await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_removal_that_did_not_start_in_time_is_the_first_of_the_next_run() {
    let pool = Pool::new().await;
    for n in 0..12 {
        let orphan = pool.create_orphan(&format!("w-orphan-{n}")).await;
        let machine = pool.machines().await.into_iter().find(|m| m.worker_id == orphan).unwrap();
        assert!(pool.world.fly.vanish("workers", &machine.machine.machine_id).await);
    }
    pool.run().await;
    pool.advance(GRACE);
    // One late response uses up the time in which the run may start actions.
    pool.world.fly.fault(fly::Action::GetVolume, &fly::Fault::Late { ms: 41_000 }, 1);
    let first = outcomes(&pool.run().await);
    let left: Vec<_> = first.iter().filter(|o| o.ends_with("the time of this one is up")).collect();
    let tried = pool.app.store.reconcile_state().await.unwrap().tried.unwrap().to_string();
    assert!(!left.is_empty() && left.iter().all(|o| !o.contains(&tried)), "{tried} {first:?}");
    let next = outcomes(&pool.run().await);
    let of = |outcome: &str| outcome.split_once(": ").unwrap().0.to_owned();
    assert_eq!(of(&next[0]), of(left[0]), "{first:?} {next:?}");
    pool.until("nothing is left", async |pool| pool.volumes().await.is_empty()).await;
}

#[tokio::test]
async fn an_unreadable_worker_row_blocks_the_removal_of_orphans() {
    let pool = Pool::new().await;
    pool.create_orphan("w-orphan").await;
    let row = keys::worker(&worker("w-unreadable"));
    let item = json!({"pk": {"S": row.pk}, "sk": {"S": row.sk}, "st": {"S": "resting"}});
    pool.write_raw("PutItem", json!({"Item": item})).await;
    for _ in 0..15 {
        let report = pool.run().await;
        assert_eq!(outcomes(&report), Vec::<String>::new());
        assert_eq!(report.errors, ["item W/w-unreadable is malformed: st: not a status"]);
        pool.advance(MINUTE);
    }
    pool.lose_row(&worker("w-unreadable")).await;
    pool.until("nothing is left", async |pool| {
        pool.machines().await.is_empty() && pool.volumes().await.is_empty()
    })
    .await;
}

/// Checks that a vanished machine is noticed although the provider refuses one list request.
async fn notices_a_vanished_machine(refused: fly::Action, times: usize, reported: &str) {
    let pool = Pool::with_work().await;
    pool.run().await;
    let machine = pool.machines().await.remove(0);
    pool.serve(&machine.worker_id).await;
    pool.advance(SEARCH_INTERVAL);
    pool.sign_of_life(&machine.worker_id).await;
    assert!(pool.world.fly.vanish("workers", &machine.machine.machine_id).await);
    pool.world.fly.fault(refused, &fly::Fault::status(503), times);
    let report = pool.run().await;
    assert!(report.errors.iter().all(|e| e.starts_with(reported)) && report.errors.len() == 1, "{report:?}");
    assert_eq!(outcomes(&report)[0], format!("drain worker {}: done", machine.worker_id));
    // The search counts as done, so the next run does not repeat it at once.
    let memory = pool.app.store.reconcile_state().await.unwrap();
    assert_eq!(memory.last_full_listing_at, Some(pool.app.now()));
}

#[tokio::test]
async fn a_refused_list_of_volumes_does_not_hide_a_vanished_machine() {
    notices_a_vanished_machine(fly::Action::ListVolumes, 1_000, "listing volumes failed: ").await;
}

#[tokio::test]
async fn a_refused_list_of_all_machines_does_not_hide_a_vanished_machine() {
    notices_a_vanished_machine(fly::Action::ListMachines, 1, "listing all machines failed: ").await;
}
