//! All faults of the Machines API, in a pool that grows and scales to zero: two conversations are served, and their
//! workers end with snapshots. In spite of every fault, both messages complete once, and no machine or volume is left.

use af_domain::message::MessageStatus;
use af_emulator_fly::{Action, Fault};

use crate::fleet::Fleet;
use crate::report;
use crate::scenario::CONVERSATIONS;
use crate::world::{Outcome, World};

/// The requests to the Machines API in these tests.
const ACTIONS: [Action; 11] = [
    Action::ListMachines,
    Action::CreateMachine,
    Action::GetMachine,
    Action::CordonMachine,
    Action::StopMachine,
    Action::WaitForMachine,
    Action::DestroyMachine,
    Action::ListVolumes,
    Action::CreateVolume,
    Action::GetVolume,
    Action::DestroyVolume,
];

/// Runs a pool from its first message until it is empty. Each fault applies to the next requests of its action.
async fn run_with_faults(faults: &[(Action, Fault, usize)]) -> Outcome {
    let world = World::new().await;
    let mut fleet = Fleet::of(&world);
    let messages = [world.enqueue(CONVERSATIONS[0]).await, world.enqueue(CONVERSATIONS[1]).await];
    for (action, fault, times) in faults {
        world.backend.machines_api().fault(*action, fault, *times);
    }
    world.serve(&mut fleet, &messages).await;
    world.scale_to_zero(&mut fleet).await;
    let outcome = world.outcome(&fleet, &messages, &CONVERSATIONS).await;
    assert!(outcome.messages.iter().all(|m| *m == (MessageStatus::Done, 1, 1)), "{faults:?}: {outcome:?}");
    assert!(outcome.files.iter().all(|f| !f.is_empty()) && outcome.missed == 0, "{faults:?}: {outcome:?}");
    outcome
}

#[tokio::test]
async fn lost_responses_delay_messages_and_lose_none() {
    let all = ACTIONS.map(|action| (action, Fault::AnswerLost, 1));
    let together = run_with_faults(&all).await.machines;
    let mut alone = Vec::new();
    for fault in all {
        alone.push(run_with_faults(&[fault]).await.machines);
    }
    report(&format!("machines for two conversations: {together}; with one kind of response lost: {alone:?}"));
}

#[tokio::test]
async fn failures_of_the_service_delay_messages_and_lose_none() {
    run_with_faults(&ACTIONS.map(|action| (action, Fault::status(503), 3))).await;
}

#[tokio::test]
async fn rate_limited_requests_are_retried_after_their_retry_time() {
    for retry_after_secs in [Some(7), Some(60), None] {
        let refused = Fault::Refused { status: 429, error: "slow down".into(), retry_after_secs };
        run_with_faults(&ACTIONS.map(|action| (action, refused.clone(), 2))).await;
    }
}

#[tokio::test]
async fn late_responses_are_awaited() {
    run_with_faults(&ACTIONS.map(|action| (action, Fault::Late { ms: 9_000 }, 2))).await;
}

#[tokio::test]
async fn a_failed_creation_of_a_machine_leaves_no_volume_and_another_machine_serves() {
    let outcome = run_with_faults(&[(Action::CreateMachine, Fault::status(422), 3)]).await;
    assert_eq!(outcome.machines, 2);
}

#[tokio::test]
async fn a_machine_without_a_confirmed_creation_is_removed_and_another_machine_serves() {
    // The three list requests: all machines and our machines before the plan, and one that looks for the machine.
    let unconfirmed =
        [(Action::CreateMachine, Fault::AnswerLost, 1), (Action::ListMachines, Fault::status(503), 3)];
    assert_eq!(run_with_faults(&unconfirmed).await.machines, 3);
}

#[tokio::test]
async fn a_machine_that_never_stops_is_ended_by_force() {
    run_with_faults(&[(Action::StopMachine, Fault::StuckStopping, 2)]).await;
}

#[tokio::test]
async fn a_volume_whose_deletion_fly_refuses_at_first_is_deleted_later() {
    run_with_faults(&[(Action::DestroyVolume, Fault::status(412), 5)]).await;
}

#[tokio::test]
async fn a_machine_whose_removal_fly_refuses_at_first_is_removed_later() {
    run_with_faults(&[(Action::DestroyMachine, Fault::status(412), 5)]).await;
}
