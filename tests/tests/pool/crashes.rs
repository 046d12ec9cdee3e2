//! A reconcile that dies at any step. Each story is told once without a death, and then once for each step of its run
//! at which the function dies, before or after the step took effect. Its lease stays held until it expires, its memory
//! is gone, and the next ticks must come to the same end.

use std::sync::Arc;

use af_app::pool::reconcile::reconcile;

use crate::crew::Crew;
use crate::report;
use crate::steps::{End, Steps};
use crate::story::{Story, TALKS};
use crate::world::{Ended, World};

async fn tell(world: World, story: Story, steps: Arc<Steps>) -> Ended {
    let mut crew = Crew::of(&world);
    let messages = story.begin(&world, &mut crew).await;
    let function = world.function(&steps).await;
    if steps.run(Box::pin(reconcile(&function))).await.is_none() {
        drop(function);
        world.outlive_the_lease(&mut crew).await;
    }
    world.serve(&mut crew, &messages).await;
    story.end(&world).await;
    world.close(&mut crew).await;
    world.ended(&crew, &messages, &TALKS).await
}

async fn sweep(world: impl AsyncFn() -> World, story: Story) {
    let calm = Arc::new(Steps::default());
    let expected = tell(world().await, story, calm.clone()).await;
    assert!(expected.messages.iter().all(|(_, _, answers)| *answers == 1), "{expected:?}");
    let steps = calm.taken();
    let mut deaths = 0;
    for (n, changes) in steps.iter().enumerate() {
        // A step that changes nothing leaves the same behind, whether it was taken or not.
        let ends = if *changes { &[End::DiesBefore, End::DiesAfter][..] } else { &[End::DiesBefore][..] };
        for end in ends {
            let ended = tell(world().await, story, Arc::new(Steps::ending(n, *end))).await;
            assert_eq!(ended, expected, "{story:?}: {end:?} step {n} of {}", steps.len());
            deaths += 1;
        }
    }
    report(&format!("{story:?}: {} steps swept, with {deaths} deaths", steps.len()));
}

#[tokio::test]
async fn a_run_that_starts_workers_may_die_at_any_step() {
    sweep(World::new, Story::Starts).await;
}

#[tokio::test]
async fn a_run_that_tells_an_idle_worker_to_leave_may_die_at_any_step() {
    sweep(World::new, Story::Drains).await;
}

#[tokio::test]
async fn a_run_that_drains_settles_and_tears_down_may_die_at_any_step() {
    sweep(World::new, Story::DrainsSettlesAndTearsDown).await;
}

#[tokio::test]
async fn a_run_that_tears_down_may_die_at_any_step() {
    sweep(World::new, Story::TearsDown).await;
}

#[tokio::test]
async fn a_run_that_recovers_a_lease_may_die_at_any_step() {
    sweep(World::new, Story::RecoversALease).await;
}

#[tokio::test]
async fn a_run_that_has_lost_a_machine_may_die_at_any_step() {
    sweep(World::new, Story::LosesAMachine).await;
}

#[tokio::test]
async fn a_run_that_starts_a_spare_worker_may_die_at_any_step() {
    sweep(World::new, Story::StartsASpareWorker).await;
}

#[tokio::test]
async fn a_run_that_removes_an_orphan_may_die_at_any_step() {
    sweep(World::new, Story::RemovesAnOrphan).await;
}

#[tokio::test]
async fn a_run_that_repairs_a_conversation_may_die_at_any_step() {
    sweep(World::new, Story::Repairs).await;
}

#[tokio::test]
async fn a_run_that_starts_processes_may_die_at_any_call_of_their_provider() {
    sweep(World::local, Story::Starts).await;
}

#[tokio::test]
async fn a_run_that_ends_a_process_may_die_at_any_call_of_its_provider() {
    sweep(World::local, Story::DrainsSettlesAndTearsDown).await;
}
