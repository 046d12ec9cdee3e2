//! A holder of the reconcile lease is frozen for longer than the lease lasts. Another run takes the lease over and does
//! the work; the frozen run changes nothing after it is thawed. A call of the provider has no fence: a call that was
//! already sent takes effect late, and the machine or volume that it creates must be removed.

use std::sync::Arc;

use af_app::pool::reconcile::reconcile;
use af_app::settings::policies;
use af_emulator_fly::{Action, Fault};
use serde_json::json;

use crate::fleet::Fleet;
use crate::report;
use crate::scenario::{CONVERSATIONS, Scenario};
use crate::world::{Outcome, TICK, World};
use af_tests::steps::{End, Steps};

/// The first step after the lease was taken.
const FIRST_STEP_WITH_LEASE: usize = 1;

async fn steps_of(scenario: Scenario) -> (usize, Outcome) {
    let world = World::new().await;
    let mut fleet = Fleet::of(&world);
    let messages = scenario.begin(&world, &mut fleet).await;
    let steps = Arc::new(Steps::default());
    let function = world.function(&steps).await;
    Box::pin(reconcile(&function)).await.unwrap();
    let taken = steps.taken().len();
    world.serve(&mut fleet, &messages).await;
    world.scale_to_zero(&mut fleet).await;
    (taken, world.outcome(&fleet, &messages, &CONVERSATIONS).await)
}

/// Runs the scenario with a function that is frozen before step `n` and thawed after another run has done its work.
async fn run_scenario(scenario: Scenario, n: usize) -> Outcome {
    let world = World::new().await;
    let mut fleet = Fleet::of(&world);
    let messages = scenario.begin(&world, &mut fleet).await;
    let steps = Arc::new(Steps::ending(n, End::Freezes));
    let function = world.function(&steps).await;
    let mut run = Box::pin(reconcile(&function));
    assert!(steps.run(&mut run).await.is_none(), "{scenario:?} has no step {n}");

    world.expire_the_reconcile_lease(&mut fleet).await;
    world.serve(&mut fleet, &messages).await;
    world.run_until_idle().await;
    let before = world.full_state().await;
    steps.thaw();
    let late = run.await;
    let after = world.full_state().await;
    let changes: Vec<_> = before.symmetric_difference(&after).collect();
    assert!(changes.is_empty(), "{scenario:?}: frozen before step {n}, it returned {late:?}: {changes:#?}");
    world.assert_no_orphans().await;
    world.scale_to_zero(&mut fleet).await;
    world.outcome(&fleet, &messages, &CONVERSATIONS).await
}

async fn freeze_before_each_step(scenario: Scenario) {
    let (steps, expected) = steps_of(scenario).await;
    for n in FIRST_STEP_WITH_LEASE..steps {
        assert_eq!(
            run_scenario(scenario, n).await,
            expected,
            "{scenario:?}: frozen before step {n} of {steps}"
        );
    }
    report(&format!("{scenario:?}: frozen before each of {} steps", steps - FIRST_STEP_WITH_LEASE));
}

#[tokio::test]
async fn a_run_that_is_frozen_before_it_starts_workers_changes_nothing_after_it_is_thawed() {
    freeze_before_each_step(Scenario::Starts).await;
}

#[tokio::test]
async fn a_run_that_is_frozen_before_a_teardown_changes_nothing_after_it_is_thawed() {
    freeze_before_each_step(Scenario::DrainsAndTearsDown).await;
}

#[tokio::test]
async fn a_run_that_is_frozen_before_it_recovers_a_lease_changes_nothing_after_it_is_thawed() {
    freeze_before_each_step(Scenario::RecoversALease).await;
}

/// The policies ask for one spare worker. The write of its row depends only on the reconcile lease.
#[tokio::test]
async fn a_frozen_run_does_not_grow_the_pool_after_it_is_thawed() {
    let world_with_spare_worker =
        || World::with_policies(json!({"scaling": {"minIdleWorkers": 1}, "queue": {"readyShards": 1}}));
    let undisturbed = Arc::new(Steps::default());
    let world = world_with_spare_worker().await;
    Box::pin(reconcile(&world.function(&undisturbed).await)).await.unwrap();
    for n in FIRST_STEP_WITH_LEASE..undisturbed.taken().len() {
        let world = world_with_spare_worker().await;
        let mut fleet = Fleet::of(&world);
        let steps = Arc::new(Steps::ending(n, End::Freezes));
        let function = world.function(&steps).await;
        let mut run = Box::pin(reconcile(&function));
        assert!(steps.run(&mut run).await.is_none());
        world.expire_the_reconcile_lease(&mut fleet).await;
        // The first tick ends a row without a machine, which the frozen run may have left. The second tick spawns a
        // worker.
        for _ in 0..2 {
            world.tick().await;
            world.advance(TICK);
        }
        steps.thaw();
        let late = run.await;
        assert_eq!(world.workers().await.len(), 1, "frozen before step {n}, it returned {late:?}");
        let no_spare = serde_json::from_value(json!({"scaling": {"minIdleWorkers": null}})).unwrap();
        policies::set(&world.app, no_spare).await.unwrap();
        world.scale_to_zero(&mut fleet).await;
    }
}

/// The step that requests the machine of the scenario's only worker.
async fn step_that_creates_a_machine() -> usize {
    let steps_until = async |end: usize| {
        let world = World::new().await;
        world.enqueue(CONVERSATIONS[0]).await;
        let steps = Arc::new(Steps::ending(end, End::DiesAfter));
        let function = world.function(&steps).await;
        steps.run(Box::pin(reconcile(&function))).await;
        world.backend.machines().await.len()
    };
    for n in FIRST_STEP_WITH_LEASE.. {
        if steps_until(n).await == 1 {
            return n;
        }
    }
    unreachable!("some step creates the machine")
}

#[tokio::test]
async fn a_frozen_run_that_gets_no_response_about_its_machine_does_not_stop_its_worker() {
    let n = step_that_creates_a_machine().await;
    let world = World::new().await;
    let mut fleet = Fleet::of(&world);
    let messages = [world.enqueue(CONVERSATIONS[0]).await];
    let steps = Arc::new(Steps::ending(n, End::FreezesAfter));
    let function = world.function(&steps).await;
    let mut run = Box::pin(reconcile(&function));
    assert!(steps.run(&mut run).await.is_none());
    world.expire_the_reconcile_lease(&mut fleet).await;
    world.serve(&mut fleet, &messages).await;
    world.run_until_idle().await;
    let before = world.full_state().await;
    // The frozen run lists the machines to look for its own; that request fails.
    world.backend.machines_api().fault(Action::ListMachines, &Fault::status(503), 1);
    steps.thaw();
    let late = run.await;
    let after = world.full_state().await;
    let changes: Vec<_> = before.symmetric_difference(&after).collect();
    assert!(changes.is_empty(), "it returned {late:?}: {changes:#?}");
    world.scale_to_zero(&mut fleet).await;
    assert_eq!(world.outcome(&fleet, &messages, &CONVERSATIONS).await.missed, 0);
}
