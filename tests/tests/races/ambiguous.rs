//! Answers that are lost: whoever sends a conditional write again finds the table, and gets the answer, as if the
//! first sending had been the only one. One line for each write that the data model lists; where a caller that starts
//! over is answered otherwise, the line says how.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use af_app::App;
use af_emulator_aws::{Fault, Faults, WireRequest};
use af_tests::workspace::root;
use aws_smithy_types::retry::RetryConfig;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};

use crate::world::World;
use crate::writes;

/// Makes its own scene in the world, then sends one write so many times, the same each time; what it was answered.
pub type Sending = for<'a> fn(&'a World, &'a App, usize) -> LocalBoxFuture<'a, Vec<String>>;

/// What the second of two sendings is answered when the first was carried out.
#[derive(Clone, Copy, Debug)]
pub enum Again {
    /// The same.
    Same,
    /// Something that has this in it.
    Says(&'static str),
}

/// Writes whose second sending leaves something behind on purpose.
const NOT_ONCE: [&str; 3] = [
    // The version moves once more: whoever decided in between decides again.
    "cancel_if_leased",
    // An allowance that has room for half a thousand is used by one more.
    "count_upload_if_allowed",
    // One of three redeliveries is spent.
    "redeliver_if_leased",
];

/// Lets the first write go wrong.
struct FirstWrite(Mutex<Option<Trouble>>);

/// What goes wrong; the service's words depend on the operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    RequestLost,
    ResponseLost,
    Doubled,
    Throttled,
    OutOfOrder,
    Conflict,
    /// Throttled within a transaction.
    ReasonThrottled,
}

const TROUBLES: [Trouble; 7] = [
    Trouble::RequestLost,
    Trouble::ResponseLost,
    Trouble::Doubled,
    Trouble::Throttled,
    Trouble::OutOfOrder,
    Trouble::Conflict,
    Trouble::ReasonThrottled,
];

impl Trouble {
    fn of(self, operation: &str) -> Fault {
        let in_transaction = operation == "TransactWriteItems";
        let cancelled = |code: &str| {
            let reasons = json!([{"Code": code, "Message": "try again"}, {"Code": "None"}]);
            refusal(400, "TransactionCanceledException", json!({"CancellationReasons": reasons}))
        };
        match self {
            Self::RequestLost => Fault::LoseRequest,
            Self::ResponseLost => Fault::LoseResponse,
            Self::Doubled => Fault::Duplicate,
            Self::OutOfOrder => refusal(500, "InternalServerError", json!({})),
            Self::Conflict if in_transaction => cancelled("TransactionConflict"),
            Self::Conflict => refusal(400, "TransactionConflictException", json!({})),
            Self::ReasonThrottled if in_transaction => cancelled("ThrottlingError"),
            Self::Throttled | Self::ReasonThrottled => refusal(400, "ThrottlingException", json!({})),
        }
    }
}

fn refusal(status: u16, kind: &str, mut body: Value) -> Fault {
    body["__type"] = json!(format!("com.amazonaws.dynamodb.v20120810#{kind}"));
    body["message"] = json!("try again");
    Fault::Respond { status, body }
}

impl Faults for FirstWrite {
    fn before(&self, request: &WireRequest) -> Fault {
        let writes = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"];
        let concerns = writes.contains(&request.operation.as_str());
        let trouble = self.0.lock().unwrap().take_if(|_| concerns);
        trouble.map_or(Fault::None, |trouble| trouble.of(&request.operation))
    }
}

/// The answers and what the table holds at the end.
async fn carried_out(
    sending: Sending,
    times: usize,
    trouble: Option<(Trouble, RetryConfig)>,
) -> (Vec<String>, Value) {
    let world = World::new().await;
    let faults = Arc::new(FirstWrite(Mutex::new(trouble.as_ref().map(|(trouble, _)| *trouble))));
    let retries = trouble.map_or_else(RetryConfig::disabled, |(_, retries)| retries);
    let app = world.retrying(faults.clone(), retries);
    let answers = sending(&world, &app, times).await;
    assert_eq!(*faults.0.lock().unwrap(), None, "nothing went wrong");
    (answers, table(&world).await)
}

/// All items, in the order of their keys.
async fn table(world: &World) -> Value {
    let name = &world.bundle.template.tables[0].name;
    let scanned = world.bundle.aws.engine().call("Scan", json!({"TableName": name})).await.body;
    let mut items = scanned["Items"].as_array().unwrap().clone();
    items.sort_by_key(|item| (item["pk"].to_string(), item["sk"].to_string()));
    json!(items)
}

#[tokio::test(start_paused = true)]
async fn a_write_that_meets_trouble_ends_as_if_there_had_been_none() {
    for (name, _, sending) in writes::ALL {
        let (_, scene) = carried_out(*sending, 0, None).await;
        let expected = carried_out(*sending, 1, None).await;
        assert!(expected.0[0].starts_with("Ok("), "{name}: {:?}", expected.0);
        assert_ne!(scene, expected.1, "{name} has written nothing");
        for trouble in TROUBLES {
            let found = carried_out(*sending, 1, Some((trouble, af_aws::retries()))).await;
            assert_eq!(found, expected, "{name}, {trouble:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_got_no_answer_may_start_over() {
    for (name, again, sending) in writes::ALL {
        let (answers, expected) = carried_out(*sending, 1, None).await;
        let lost = |trouble| Some((trouble, RetryConfig::disabled()));
        let (not_done, found) = carried_out(*sending, 2, lost(Trouble::RequestLost)).await;
        assert!(not_done[0].starts_with("Err("), "{name}: {not_done:?}");
        assert_eq!((&not_done[1], found), (&answers[0], expected.clone()), "{name}, its request lost");
        let (done, found) = carried_out(*sending, 2, lost(Trouble::ResponseLost)).await;
        assert!(done[0].starts_with("Err("), "{name}: {done:?}");
        match again {
            Again::Same => assert_eq!(done[1], answers[0], "{name}, its answer lost"),
            Again::Says(words) => assert!(done[1].contains(words), "{name}, its answer lost: {}", done[1]),
        }
        assert_eq!(found, expected, "{name}, its answer lost");
    }
}

/// The names in the data model, one heading each.
fn documented() -> BTreeSet<String> {
    let document = std::fs::read_to_string(root().join("docs/data-model.md")).unwrap();
    let writes = document.split("\n## Conditional writes").nth(1).unwrap();
    let writes = writes.split("\n## ").next().unwrap();
    writes
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_conditional_write_of_the_data_model_has_its_line() {
    let named = writes::ALL.iter().map(|(name, ..)| *name).chain(NOT_ONCE);
    let known: BTreeSet<String> = named.map(str::to_owned).collect();
    assert!(!known.is_empty());
    assert_eq!(documented(), known);
}
