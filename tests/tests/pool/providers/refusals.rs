//! Machines whose removal the provider refuses, and lists that lack a machine.

use af_api::reconcile::Report;
use af_app::worker::heartbeat;
use af_domain::time::Millis;
use af_domain::worker::WorkerStatus;
use af_emulator_fly::{Action, Fault, MachineState};

use crate::providers::deployment::{Pool, outcomes};

const MINUTE: Millis = Millis::from_secs(60);
/// More requests than these tests send.
const ALWAYS: usize = 1_000;

fn refused(status: u16, error: &str) -> Fault {
    Fault::Refused { status, error: error.to_owned(), retry_after_secs: None }
}

/// Checks that a worker is torn down in spite of `faults`: its machine, volume and row are removed.
async fn is_torn_down_in_spite_of(faults: &[(Action, Fault)]) {
    let pool = Pool::with_work().await;
    for (action, fault) in faults {
        pool.world.fly.fault(*action, fault, ALWAYS);
    }
    pool.run().await;
    let [worker] = pool.worker_ids().await.try_into().unwrap();
    let volume = pool.volumes().await.remove(0).volume;
    let is_given_up = async |pool: &Pool| {
        let row = pool.rows().await.into_iter().find(|w| w.id.as_str() == worker);
        row.is_none_or(|w| matches!(w.status, WorkerStatus::Stopping { .. }))
    };
    pool.until("the silent worker is given up", is_given_up).await;
    let is_gone = async |pool: &Pool| {
        let machines = pool.machines().await;
        let volumes = pool.volumes().await;
        machines.iter().all(|m| m.worker_id.as_str() != worker)
            && volumes.iter().all(|v| v.volume != volume)
            && !pool.worker_ids().await.contains(&worker)
    };
    pool.until(&format!("torn down in spite of {faults:?}"), is_gone).await;
}

#[tokio::test]
async fn a_machine_that_cannot_be_cordoned_is_removed_by_force() {
    for fault in [refused(422, "not now"), Fault::status(412), Fault::status(503)] {
        is_torn_down_in_spite_of(&[(Action::CordonMachine, fault)]).await;
    }
}

#[tokio::test]
async fn a_machine_that_cannot_be_stopped_is_removed_by_force() {
    for fault in [refused(422, "not now"), Fault::status(412), Fault::status(503)] {
        is_torn_down_in_spite_of(&[(Action::StopMachine, fault)]).await;
    }
}

#[tokio::test]
async fn a_machine_that_never_started_is_removed() {
    for state in [MachineState::Failed, MachineState::LaunchFailed] {
        is_torn_down_in_spite_of(&[(Action::CreateMachine, Fault::NeverStarts { state })]).await;
    }
}

#[tokio::test]
async fn a_teardown_waits_for_a_refused_stop_before_it_uses_force() {
    for action in [Action::CordonMachine, Action::StopMachine] {
        let pool = Pool::with_work().await;
        pool.world.fly.fault(action, &Fault::status(412), ALWAYS);
        pool.run().await;
        let [worker] = pool.worker_ids().await.try_into().unwrap();
        let outcome = |report: &Report| {
            let prefix = format!("teardown worker {worker}: ");
            outcomes(report).iter().find_map(|o| o.strip_prefix(&prefix).map(str::to_owned))
        };
        let mut waited = 0;
        for _ in 0..40 {
            pool.advance(MINUTE);
            let report = pool.run().await;
            let Some(outcome) = outcome(&report) else { continue };
            if outcome == "done" {
                break;
            }
            assert!(outcome.starts_with("waiting: "), "{action:?}: {outcome}");
            waited += 1;
        }
        assert!(waited >= 9, "{action:?}: {waited}");
        assert!(!pool.worker_ids().await.contains(&worker), "{action:?}");
    }
}

#[tokio::test]
async fn a_machine_that_the_token_may_not_stop_is_not_removed_by_force() {
    let pool = Pool::with_work().await;
    pool.world.fly.fault(Action::StopMachine, &refused(403, "not allowed"), ALWAYS);
    pool.run().await;
    let machine = pool.machines().await.remove(0);
    for _ in 0..40 {
        pool.advance(MINUTE);
        pool.run().await;
    }
    assert!(pool.machines().await.iter().any(|m| m.machine == machine.machine));
}

#[tokio::test]
async fn an_orphan_that_cannot_be_cordoned_is_removed_by_force() {
    let pool = Pool::new().await;
    pool.create_orphan("w-stuck").await;
    pool.world.fly.fault(Action::CordonMachine, &refused(422, "not now"), ALWAYS);
    pool.until("the machine is gone", async |pool| {
        pool.machines().await.is_empty() && pool.volumes().await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_list_that_lacks_a_machine_does_not_end_its_worker() {
    let pool = Pool::with_work().await;
    pool.run().await;
    let machine = pool.machines().await.remove(0);
    pool.advance(MINUTE);
    let job = pool.claim(&machine.worker_id).await;
    // After the grace period of a missing machine, and before the end of the lease.
    pool.advance(Millis::from_secs(45));
    let message = &job.lease.entry.message;
    assert!(heartbeat(&pool.app, &machine.worker_id, message, &job.lease.id, None).await.unwrap().held);
    pool.world.fly.fault(Action::ListMachines, &Fault::EmptyList, 1);
    let report = pool.run().await;
    assert_eq!(outcomes(&report), [""; 0]);
    let words = "the provider's list, which lacks its machine although the machine runs";
    assert!(report.waits.iter().any(|w| w.waits_for == words), "{report:?}");

    pool.world.fly.fault(Action::ListMachines, &Fault::EmptyList, 1);
    pool.world.fly.fault(Action::GetMachine, &Fault::status(503), 1);
    let report = pool.run().await;
    assert_eq!(outcomes(&report), [""; 0], "the state of the machine is unknown");
    let id = &machine.machine.machine_id;
    assert!(report.errors[0].starts_with(&format!("inspecting machine {id} failed: ")), "{report:?}");
    assert!(heartbeat(&pool.app, &machine.worker_id, message, &job.lease.id, None).await.unwrap().held);

    assert!(pool.world.fly.vanish("workers", id).await);
    let report = pool.run().await;
    assert_eq!(
        outcomes(&report)[..2],
        ["recover conversation talk: done".to_owned(), format!("drain worker {}: done", machine.worker_id)]
    );
}
