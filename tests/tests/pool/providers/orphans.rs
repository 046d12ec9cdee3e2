//! Machines and volumes that carry our mark and belong to no worker.

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
use crate::providers::suite::{Bench, spawn_spec, volume_spec, worker};

const MINUTE: Millis = Millis::from_secs(60);
/// `scaling.providerGraceMs`.
const GRACE: Millis = Millis::from_secs(90);
/// How often a quiet pool looks for what belongs to nobody.
const LOOK_EVERY: Millis = Millis::from_secs(600);
/// Real time in which a request is held up, so that others come first.
const HELD_UP: Millis = Millis::new(300);

impl Pool {
    /// A machine with its volume for a worker that has no row, as a process leaves behind that was taken for dead.
    pub async fn strays(&self, id: &str) -> WorkerId {
        let worker = worker(id);
        let mut volume = volume_spec(&self.provider, &worker);
        volume.scope.deployment_id.clone_from(&self.app.deployment_id);
        volume.name = self.provider.volume_name(&volume.scope, &worker);
        let volume = self.provider.ensure_volume(&volume).await.unwrap();
        let mut machine = spawn_spec(&worker, Some(volume));
        machine.scope.deployment_id.clone_from(&self.app.deployment_id);
        self.provider.spawn(&machine).await.unwrap();
        self.world.pass(std::time::Duration::from_secs(1)).await;
        worker
    }

    async fn lose_row(&self, worker: &WorkerId) {
        let key = keys::worker(worker);
        self.meddle("DeleteItem", json!({"Key": {"pk": {"S": key.pk}, "sk": {"S": key.sk}}})).await;
    }

    /// One write that our code does not make.
    async fn meddle(&self, operation: &str, mut request: Value) {
        request["TableName"] = json!(self.bundle.template.tables[0].name);
        let answer = self.bundle.aws.engine().call(operation, request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_machine_whose_row_was_lost_is_removed_with_its_volume_and_the_others_stay() {
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
    assert_eq!(pool.live().await, [kept.worker_id.to_string()]);
}

#[tokio::test]
async fn a_machine_that_comes_up_after_its_row_was_given_up_is_found_in_a_pool_without_workers() {
    let pool = Pool::new().await;
    assert!(pool.run().await.errors.is_empty());
    let before = pool.world.fly.requests();
    for _ in 0..5 {
        pool.pass(MINUTE);
        pool.run().await;
    }
    assert_eq!(pool.world.fly.requests(), before, "where nothing lies, nothing is asked for");

    pool.strays("w-late").await;
    pool.pass(LOOK_EVERY);
    let report = pool.run().await;
    let wait = report.waits.iter().find(|w| w.subject.starts_with("machine ")).unwrap();
    assert_eq!(wait.until, Some((pool.app.now() + GRACE).as_millis()));
    assert_eq!(pool.machines().await.len(), 1, "it has its grace");
    pool.until("nothing is left", async |pool| {
        pool.machines().await.is_empty() && pool.volumes().await.is_empty()
    })
    .await;
    pool.run().await;
    let quiet = pool.world.fly.requests();
    pool.pass(MINUTE);
    assert!(pool.run().await.actions.is_empty());
    assert_eq!(pool.world.fly.requests(), quiet, "and then it is quiet again");
}

#[tokio::test]
async fn a_volume_alone_is_removed_too() {
    let pool = Pool::new().await;
    let stray = pool.strays("w-late").await;
    let machine = pool.machines().await.remove(0);
    assert!(pool.world.fly.vanish("workers", &machine.machine.machine_id).await);
    pool.run().await;
    assert_eq!(pool.volumes().await.len(), 1, "{stray} may come yet");
    pool.until("its volume is gone", async |pool| pool.volumes().await.is_empty()).await;
}

/// Holds up the strong read of one worker's row, and tells when it comes.
struct HoldUp {
    worker: String,
    first: Mutex<bool>,
    comes: Arc<Notify>,
}

impl Faults for HoldUp {
    fn before(&self, request: &WireRequest) -> Fault {
        let reads = request.operation == "GetItem" && request.body["Key"]["sk"]["S"] == self.worker;
        if reads && std::mem::take(&mut *self.first.lock().unwrap()) {
            self.comes.notify_one();
            return Fault::Delay(HELD_UP);
        }
        Fault::None
    }
}

#[tokio::test]
async fn a_row_that_appears_between_the_look_and_the_hand_keeps_its_machine() {
    let pool = Pool::new().await;
    let stray = pool.strays("w-late").await;
    pool.run().await;
    pool.pass(GRACE);
    let comes = Arc::new(Notify::new());
    let held = HoldUp { worker: stray.to_string(), first: Mutex::new(true), comes: comes.clone() };
    let mut boot = pool.bundle.boot("reconcile");
    boot.sdk = pool.bundle.aws.clone().with_faults(Arc::new(held)).sdk_config(RetryConfig::disabled());
    let slow = App::from_boot(&boot).unwrap();
    let register = async {
        comes.notified().await;
        let row = Worker::registered(stray.clone(), "fly".to_owned(), pool.app.now());
        pool.app.store.register_if_new(&row, None, None).await.unwrap();
    };
    let (ran, ()) = tokio::join!(Box::pin(reconcile(&slow)), register);
    let af_app::pool::reconcile::Reconciled::Ran(report) = ran.unwrap() else { panic!("nobody else runs") };
    let machine = pool.machines().await.remove(0);
    assert_eq!(outcomes(&report), [format!("remove machine {}: stale", machine.machine.machine_id)]);
    assert!(machine.state.is_running());
}

#[tokio::test]
async fn a_machine_without_a_row_that_does_not_stop_is_ended_by_force() {
    let pool = Pool::new().await;
    pool.strays("w-stuck").await;
    pool.world.fly.fault(fly::Action::StopMachine, &fly::Fault::StuckStopping, 1);
    pool.until("it is gone", async |pool| {
        pool.machines().await.is_empty() && pool.volumes().await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_removal_that_did_not_begin_in_time_is_the_next_runs_first() {
    let pool = Pool::new().await;
    for n in 0..12 {
        let stray = pool.strays(&format!("w-stray-{n}")).await;
        let machine = pool.machines().await.into_iter().find(|m| m.worker_id == stray).unwrap();
        assert!(pool.world.fly.vanish("workers", &machine.machine.machine_id).await);
    }
    pool.run().await;
    pool.pass(GRACE);
    // As many as work at the same time hold the run up for as long as it may begin anything.
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
async fn while_a_row_cannot_be_read_nothing_counts_as_nobodys() {
    let pool = Pool::new().await;
    pool.strays("w-stray").await;
    let row = keys::worker(&worker("w-unreadable"));
    let item = json!({"pk": {"S": row.pk}, "sk": {"S": row.sk}, "st": {"S": "resting"}});
    pool.meddle("PutItem", json!({"Item": item})).await;
    for _ in 0..15 {
        let report = pool.run().await;
        assert_eq!(outcomes(&report), Vec::<String>::new());
        assert_eq!(report.errors, ["item W/w-unreadable is malformed: st: not a status"]);
        pool.pass(MINUTE);
    }
    pool.lose_row(&worker("w-unreadable")).await;
    pool.until("nothing is left", async |pool| {
        pool.machines().await.is_empty() && pool.volumes().await.is_empty()
    })
    .await;
}

/// A list that the provider refuses to give, when it is asked for everything.
async fn still_sees_a_machine_go(refused: fly::Action, times: usize, told: &str) {
    let pool = Pool::with_work().await;
    pool.run().await;
    let machine = pool.machines().await.remove(0);
    pool.serve(&machine.worker_id).await;
    pool.pass(LOOK_EVERY);
    pool.alive(&machine.worker_id).await;
    assert!(pool.world.fly.vanish("workers", &machine.machine.machine_id).await);
    pool.world.fly.fault(refused, &fly::Fault::status(503), times);
    let report = pool.run().await;
    assert!(report.errors.iter().all(|e| e.starts_with(told)) && report.errors.len() == 1, "{report:?}");
    assert_eq!(outcomes(&report)[0], format!("drain worker {}: done", machine.worker_id));
    // It was asked, whatever it said: not again at once.
    let memory = pool.app.store.reconcile_state().await.unwrap();
    assert_eq!(memory.last_full_listing_at, Some(pool.app.now()));
}

#[tokio::test]
async fn without_the_volumes_machines_are_still_looked_at() {
    still_sees_a_machine_go(fly::Action::ListVolumes, 1_000, "listing volumes failed: ").await;
}

#[tokio::test]
async fn without_the_machines_of_all_ours_are_still_looked_at() {
    still_sees_a_machine_go(fly::Action::ListMachines, 1, "listing all machines failed: ").await;
}
