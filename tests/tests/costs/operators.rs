//! The costs of operators' calls (retry, cancel, free) and of a sender's cancellation.

use af_app::conversations::free;
use af_app::intake::idempotency;
use af_app::queue::{Cancelled, cancel, cancel_of_user, retry};
use af_domain::ids::{ConsumerUserId, MessageId};

use crate::figures::{Ceiling, Row, at_most};
use crate::serving::report_failure;
use crate::world::{RunningMessage, World};

pub async fn rows(world: &World) -> Vec<Row> {
    let mut rows = retries(world).await;
    rows.extend(cancellations(world).await);
    rows.extend(frees(world).await);
    world.clear().await;
    rows
}

/// The ceiling of a call that reads a message, reads its conversation or owner, and writes.
fn three_requests() -> Ceiling {
    at_most(3, 3)
}

async fn dead_letter(world: &World) -> RunningMessage {
    let running = world.busy_owner(Some(1)).await;
    report_failure(world, &running, false).await;
    running
}

async fn retries(world: &World) -> Vec<Row> {
    let dead = dead_letter(world).await;
    let (retried, cost) = world.measure(retry(&world.app, &dead.message, None)).await;
    retried.unwrap();
    let dead = dead_letter(world).await;
    let once = idempotency::call(&world.app, "operator", "key", &["retry", dead.message.as_str()]);
    let keyed = || {
        let retried = retry(&world.app, &dead.message, Some(("operator", "key")));
        idempotency::answered_once(&world.app, Some(&once), retried)
    };
    let (retried, of_first) = world.measure(keyed()).await;
    retried.unwrap();
    let (again, of_repetition) = world.measure(keyed()).await;
    again.unwrap();
    vec![
        Row::new("retry a dead letter", cost, three_requests().writes(6).reads(2.0)),
        Row::new("… with an Idempotency-Key", of_first, at_most(5, 5).writes(10).reads(2.0)),
        Row::new("… the same Idempotency-Key again", of_repetition, at_most(2, 2).reads(1.0)),
    ]
}

async fn cancellations(world: &World) -> Vec<Row> {
    let (_, conversation) = world.idle_owner().await;
    let waiting = world.enqueue(world.message(&conversation)).await;
    let (cancelled, of_waiting) = world.measure(cancel(&world.app, &waiting)).await;
    assert_eq!(cancelled.unwrap(), Cancelled::AtOnce);

    let running = world.busy_owner(None).await;
    let (cancelled, of_running) = world.measure(cancel(&world.app, &running.message)).await;
    assert_eq!(cancelled.unwrap(), Cancelled::WhenItsAttemptEnds);
    let (_, completed) = world.measure(world.complete(&running, 0)).await;

    let dead = dead_letter(world).await;
    let (cancelled, of_dead) = world.measure(cancel(&world.app, &dead.message)).await;
    assert_eq!(cancelled.unwrap(), Cancelled::AtOnce);

    let (user, own) = own_message(world).await;
    let (cancelled, by_sender) = world.measure(cancel_of_user(&world.app, &user, &own)).await;
    assert_eq!(cancelled.unwrap(), Cancelled::AtOnce);
    vec![
        Row::new("cancel a message that waits", of_waiting, three_requests().writes(4).reads(2.0)),
        Row::new("… one that runs", of_running, three_requests().writes(1).reads(2.0)),
        Row::new("… and its completion then", completed, at_most(2, 2).writes(4)),
        Row::new("… a dead letter", of_dead, at_most(2, 2).writes(6).reads(1.0)),
        Row::new("… as its sender", by_sender, at_most(5, 5).writes(5).reads(4.0)),
    ]
}

/// A waiting message and its sender.
async fn own_message(world: &World) -> (ConsumerUserId, MessageId) {
    let user = ConsumerUserId::parse(format!("user-{}", world.number())).unwrap();
    let message = world.enqueue(world.message(&world.conversation_of_user(user.as_str()))).await;
    (user, message)
}

async fn frees(world: &World) -> Vec<Row> {
    let running = world.busy_owner(None).await;
    let (freed, cost) = world.measure(free(&world.app, &running.conversation, "it hangs", None)).await;
    assert_eq!(freed.unwrap().message_id, Some(running.message.to_string()));
    let (_, conversation) = world.idle_owner().await;
    let (freed, without_message) = world.measure(free(&world.app, &conversation, "it hangs", None)).await;
    assert_eq!(freed.unwrap().message_id, None);
    vec![
        Row::new("free a conversation in which a message runs", cost, three_requests().writes(7).reads(2.0)),
        Row::new("… in which nothing runs", without_message, three_requests().writes(4).reads(2.0)),
    ]
}
