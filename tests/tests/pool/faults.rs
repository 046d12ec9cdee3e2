//! Everything that the Machines API may do wrong, to a pool that lives a whole life: two conversations are served, their
//! workers leave with snapshots. Whatever happens, both are answered once, and nothing is left behind.

use af_domain::message::MessageStatus;
use af_emulator_fly::{Action, Fault};

use crate::crew::Crew;
use crate::report;
use crate::story::TALKS;
use crate::world::{Ended, World};

/// What a life asks of the Machines API.
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

/// A life in which the next requests of these kinds go wrong in this way, so many times each.
async fn live(orders: &[(Action, Fault, usize)]) -> Ended {
    let world = World::new().await;
    let mut crew = Crew::of(&world);
    let messages = [world.enqueue(TALKS[0]).await, world.enqueue(TALKS[1]).await];
    for (action, fault, times) in orders {
        world.stand.machines_api().fault(*action, fault, *times);
    }
    world.serve(&mut crew, &messages).await;
    world.close(&mut crew).await;
    let ended = world.ended(&crew, &messages, &TALKS).await;
    assert!(ended.messages.iter().all(|m| *m == (MessageStatus::Done, 1, 1)), "{orders:?}: {ended:?}");
    assert!(ended.files.iter().all(|f| !f.is_empty()) && ended.missed == 0, "{orders:?}: {ended:?}");
    ended
}

#[tokio::test]
async fn answers_that_are_lost_cost_nothing_but_time() {
    let all = ACTIONS.map(|action| (action, Fault::AnswerLost, 1));
    let together = live(&all).await.machines;
    let mut alone = Vec::new();
    for order in all {
        alone.push(live(&[order]).await.machines);
    }
    report(&format!("machines for two conversations: {together}; with one kind of answer lost: {alone:?}"));
}

#[tokio::test]
async fn a_service_that_fails_for_a_while_costs_nothing_but_time() {
    live(&ACTIONS.map(|action| (action, Fault::status(503), 3))).await;
}

#[tokio::test]
async fn requests_that_are_too_many_come_later() {
    for retry_after_secs in [Some(7), Some(60), None] {
        let refused = Fault::Refused { status: 429, error: "slow down".into(), retry_after_secs };
        live(&ACTIONS.map(|action| (action, refused.clone(), 2))).await;
    }
}

#[tokio::test]
async fn answers_that_are_late_are_waited_for() {
    live(&ACTIONS.map(|action| (action, Fault::Late { ms: 9_000 }, 2))).await;
}

#[tokio::test]
async fn a_machine_that_cannot_be_made_leaves_no_volume_and_another_serves() {
    let ended = live(&[(Action::CreateMachine, Fault::status(422), 3)]).await;
    assert_eq!(ended.machines, 2);
}

#[tokio::test]
async fn a_machine_that_nobody_could_confirm_is_removed_and_another_serves() {
    // The lists: two before anything is planned, of all machines and then of ours, and one that looks for the machine.
    let unconfirmed =
        [(Action::CreateMachine, Fault::AnswerLost, 1), (Action::ListMachines, Fault::status(503), 3)];
    assert_eq!(live(&unconfirmed).await.machines, 3);
}

#[tokio::test]
async fn a_machine_that_never_stops_is_ended_by_force() {
    live(&[(Action::StopMachine, Fault::StuckStopping, 2)]).await;
}

#[tokio::test]
async fn a_volume_that_fly_holds_on_to_goes_in_the_end() {
    live(&[(Action::DestroyVolume, Fault::status(412), 5)]).await;
}

#[tokio::test]
async fn a_machine_that_refuses_to_be_destroyed_goes_in_the_end() {
    live(&[(Action::DestroyMachine, Fault::status(412), 5)]).await;
}
