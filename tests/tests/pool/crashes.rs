//! A reconcile run dies at any step. Each scenario runs once without a crash, and then once for each step at which the
//! function dies, before or after the step took effect. The reconcile lease stays held until it expires, the memory of
//! the function is lost, and the next ticks must have the same outcome.

use std::sync::Arc;

use af_app::pool::reconcile::reconcile;

use crate::fleet::Fleet;
use crate::report;
use crate::scenario::{CONVERSATIONS, Scenario};
use crate::world::{Outcome, World};
use af_tests::steps::{End, Steps};

async fn run_scenario(world: World, scenario: Scenario, steps: Arc<Steps>) -> Outcome {
    let mut fleet = Fleet::of(&world);
    let messages = scenario.begin(&world, &mut fleet).await;
    let function = world.function(&steps).await;
    if steps.run(Box::pin(reconcile(&function))).await.is_none() {
        drop(function);
        world.expire_the_reconcile_lease(&mut fleet).await;
    }
    world.serve(&mut fleet, &messages).await;
    scenario.end(&world).await;
    world.scale_to_zero(&mut fleet).await;
    world.outcome(&fleet, &messages, &CONVERSATIONS).await
}

async fn crash_at_each_step(world: impl AsyncFn() -> World, scenario: Scenario) {
    let undisturbed = Arc::new(Steps::default());
    let expected = run_scenario(world().await, scenario, undisturbed.clone()).await;
    assert!(expected.messages.iter().all(|(_, _, completions)| *completions == 1), "{expected:?}");
    let steps = undisturbed.taken();
    let mut crashes = 0;
    for (n, changes) in steps.iter().enumerate() {
        // A read has the same effect whether it was sent or not.
        let ends = if *changes { &[End::DiesBefore, End::DiesAfter][..] } else { &[End::DiesBefore][..] };
        for end in ends {
            let outcome = run_scenario(world().await, scenario, Arc::new(Steps::ending(n, *end))).await;
            assert_eq!(outcome, expected, "{scenario:?}: {end:?} step {n} of {}", steps.len());
            crashes += 1;
        }
    }
    report(&format!("{scenario:?}: {} steps, with {crashes} crashes", steps.len()));
}

#[tokio::test]
async fn a_run_that_starts_workers_may_die_at_any_step() {
    crash_at_each_step(World::new, Scenario::Starts).await;
}

#[tokio::test]
async fn a_run_that_drains_an_idle_worker_may_die_at_any_step() {
    crash_at_each_step(World::new, Scenario::Drains).await;
}

#[tokio::test]
async fn a_run_that_drains_and_tears_down_a_worker_may_die_at_any_step() {
    crash_at_each_step(World::new, Scenario::DrainsAndTearsDown).await;
}

#[tokio::test]
async fn a_run_that_tears_a_worker_down_may_die_at_any_step() {
    crash_at_each_step(World::new, Scenario::TearsDown).await;
}

#[tokio::test]
async fn a_run_that_recovers_a_lease_may_die_at_any_step() {
    crash_at_each_step(World::new, Scenario::RecoversALease).await;
}

#[tokio::test]
async fn a_run_that_replaces_a_vanished_machine_may_die_at_any_step() {
    crash_at_each_step(World::new, Scenario::LosesAMachine).await;
}

#[tokio::test]
async fn a_run_that_starts_a_spare_worker_may_die_at_any_step() {
    crash_at_each_step(World::new, Scenario::StartsASpareWorker).await;
}

#[tokio::test]
async fn a_run_that_removes_an_orphan_may_die_at_any_step() {
    crash_at_each_step(World::new, Scenario::RemovesAnOrphan).await;
}

#[tokio::test]
async fn a_run_that_repairs_a_conversation_may_die_at_any_step() {
    crash_at_each_step(World::new, Scenario::Repairs).await;
}

#[tokio::test]
async fn a_run_that_starts_processes_may_die_at_any_call_of_their_provider() {
    crash_at_each_step(World::local, Scenario::Starts).await;
}

#[tokio::test]
async fn a_run_that_ends_a_process_may_die_at_any_call_of_its_provider() {
    crash_at_each_step(World::local, Scenario::DrainsAndTearsDown).await;
}
