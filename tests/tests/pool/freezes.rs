//! A holder of the reconcile lease that is frozen for longer than the lease lasts. Another takes over and does the work;
//! the frozen one, thawed, changes nothing any more. A call of the provider cannot be fenced: one that was on its way is
//! carried out late, and what it made must not stay.

use std::sync::Arc;

use af_app::pool::reconcile::reconcile;
use af_app::settings::policies;
use af_emulator_fly::{Action, Fault};
use serde_json::json;

use crate::crew::Crew;
use crate::report;
use crate::steps::{End, Steps};
use crate::story::{Story, TALKS};
use crate::world::{Ended, TICK, World};

/// The first step after the lease was taken.
const HOLDS_SINCE: usize = 1;

async fn steps_of(story: Story) -> (usize, Ended) {
    let world = World::new().await;
    let mut crew = Crew::of(&world);
    let messages = story.begin(&world, &mut crew).await;
    let steps = Arc::new(Steps::default());
    let function = world.function(&steps).await;
    Box::pin(reconcile(&function)).await.unwrap();
    let taken = steps.taken().len();
    world.serve(&mut crew, &messages).await;
    world.close(&mut crew).await;
    (taken, world.ended(&crew, &messages, &TALKS).await)
}

/// The story with a function that is frozen before step `n`, and thawed when another has done its work.
async fn tell(story: Story, n: usize) -> Ended {
    let world = World::new().await;
    let mut crew = Crew::of(&world);
    let messages = story.begin(&world, &mut crew).await;
    let steps = Arc::new(Steps::ending(n, End::Freezes));
    let function = world.function(&steps).await;
    let mut run = Box::pin(reconcile(&function));
    assert!(steps.run(&mut run).await.is_none(), "{story:?} has no step {n}");

    world.outlive_the_lease(&mut crew).await;
    world.serve(&mut crew, &messages).await;
    world.come_to_rest().await;
    let before = world.everything().await;
    steps.thaw();
    let late = run.await;
    let after = world.everything().await;
    let changes: Vec<_> = before.symmetric_difference(&after).collect();
    assert!(changes.is_empty(), "{story:?}: frozen before step {n}, it said {late:?}: {changes:#?}");
    world.nothing_is_lost().await;
    world.close(&mut crew).await;
    world.ended(&crew, &messages, &TALKS).await
}

async fn sweep(story: Story) {
    let (steps, expected) = steps_of(story).await;
    for n in HOLDS_SINCE..steps {
        assert_eq!(tell(story, n).await, expected, "{story:?}: frozen before step {n} of {steps}");
    }
    report(&format!("{story:?}: frozen before each of {} steps", steps - HOLDS_SINCE));
}

#[tokio::test]
async fn a_frozen_run_that_was_to_start_workers_changes_nothing_when_it_is_thawed() {
    sweep(Story::Starts).await;
}

#[tokio::test]
async fn a_frozen_run_that_was_to_drain_settle_and_tear_down_changes_nothing_when_it_is_thawed() {
    sweep(Story::DrainsSettlesAndTearsDown).await;
}

#[tokio::test]
async fn a_frozen_run_that_was_to_recover_a_lease_changes_nothing_when_it_is_thawed() {
    sweep(Story::RecoversALease).await;
}

/// The pool shall have one spare worker. What makes its row depends on nothing but the reconcile lease.
#[tokio::test]
async fn a_frozen_run_makes_the_pool_no_larger_when_it_is_thawed() {
    let spare =
        || World::with_policies(json!({"scaling": {"minIdleWorkers": 1}, "queue": {"readyShards": 1}}));
    let calm = Arc::new(Steps::default());
    let world = spare().await;
    Box::pin(reconcile(&world.function(&calm).await)).await.unwrap();
    for n in HOLDS_SINCE..calm.taken().len() {
        let world = spare().await;
        let mut crew = Crew::of(&world);
        let steps = Arc::new(Steps::ending(n, End::Freezes));
        let function = world.function(&steps).await;
        let mut run = Box::pin(reconcile(&function));
        assert!(steps.run(&mut run).await.is_none());
        world.outlive_the_lease(&mut crew).await;
        // The first closes a row without a machine that the frozen one may have left, the second makes another.
        for _ in 0..2 {
            world.tick().await;
            world.pass(TICK);
        }
        steps.thaw();
        let late = run.await;
        assert_eq!(world.workers().await.len(), 1, "frozen before step {n}, it said {late:?}");
        let no_spare = serde_json::from_value(json!({"scaling": {"minIdleWorkers": null}})).unwrap();
        policies::set(&world.app, no_spare).await.unwrap();
        world.close(&mut crew).await;
    }
}

/// The step of the story's only worker at which its machine is asked for.
async fn step_that_makes_a_machine() -> usize {
    let steps_until = async |end: usize| {
        let world = World::new().await;
        world.enqueue(TALKS[0]).await;
        let steps = Arc::new(Steps::ending(end, End::DiesAfter));
        let function = world.function(&steps).await;
        steps.run(Box::pin(reconcile(&function))).await;
        world.stand.machines().await.len()
    };
    for n in HOLDS_SINCE.. {
        if steps_until(n).await == 1 {
            return n;
        }
    }
    unreachable!("some step makes it")
}

#[tokio::test]
async fn a_frozen_run_that_never_learns_of_its_machine_leaves_the_worker_at_work() {
    let n = step_that_makes_a_machine().await;
    let world = World::new().await;
    let mut crew = Crew::of(&world);
    let messages = [world.enqueue(TALKS[0]).await];
    let steps = Arc::new(Steps::ending(n, End::FreezesAfter));
    let function = world.function(&steps).await;
    let mut run = Box::pin(reconcile(&function));
    assert!(steps.run(&mut run).await.is_none());
    world.outlive_the_lease(&mut crew).await;
    world.serve(&mut crew, &messages).await;
    world.come_to_rest().await;
    let before = world.everything().await;
    // The list in which it looks for the machine.
    world.stand.machines_api().fault(Action::ListMachines, &Fault::status(503), 1);
    steps.thaw();
    let late = run.await;
    let after = world.everything().await;
    let changes: Vec<_> = before.symmetric_difference(&after).collect();
    assert!(changes.is_empty(), "it said {late:?}: {changes:#?}");
    world.close(&mut crew).await;
    assert_eq!(world.ended(&crew, &messages, &TALKS).await.missed, 0);
}
