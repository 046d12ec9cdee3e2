//! The costs of the ledger, which effects pays for the end of a message.

use af_app::queue::counters::StreamRecord;
use af_app::queue::ledger::record;
use serde_json::{Value, json};

use crate::figures::{Row, at_most};
use crate::world::World;

/// An attempt of one second, with the usage that its worker reported.
const ATTEMPT: &str = "7|1|w-1|1767225600000|1767225601000|done|worker,100,10,,,,,small-1,|";

pub async fn rows(world: &World) -> Vec<Row> {
    let user = format!("user-{}", world.number());
    let (_, first) = world.measure(record(&world.app, &[end_of_message(world, &user, 1)])).await;
    let (_, next) = world.measure(record(&world.app, &[end_of_message(world, &user, 2)])).await;
    let batch: Vec<_> = (3..103).map(|number| end_of_message(world, &user, number)).collect();
    let (_, many) = world.measure(record(&world.app, &batch)).await;
    let (_, again) = world.measure(record(&world.app, &batch)).await;
    vec![
        Row::new(
            "effects: the end of a user's first message on a day, in the ledger",
            first,
            at_most(1, 1).writes(12),
        ),
        Row::new("… of the next message", next, at_most(1, 1).writes(10)),
        Row::new("… of 100 messages of this user in one batch", many, at_most(1, 1).writes(10)),
        Row::new("… the same batch again", again, at_most(1, 1)),
    ]
}

/// The record of the completion of a message of `user`.
fn end_of_message(world: &World, user: &str, number: u64) -> StreamRecord {
    let image = |status: &str, attempts: Value| {
        json!({
            "pk": {"S": format!("M#{number}")}, "sk": {"S": "#"}, "ag": {"S": world.agent.to_string()},
            "cid": {"S": world.conversation_of_user(user).to_string()}, "st": {"S": status}, "ats": {"L": attempts},
        })
    };
    let record = json!({
        "eventName": "MODIFY",
        "dynamodb": {
            "OldImage": image("queued", json!([])), "NewImage": image("done", json!([{"S": ATTEMPT}])),
            "SequenceNumber": format!("{user}-{number}"), "ApproximateCreationDateTime": 1_767_225_601.0,
        },
    });
    serde_json::from_value(record).unwrap()
}
