//! Ambiguous writes: a conditional write that is sent again leaves the same table and gets the same answer as a single
//! write. `writes` has one line for each write of the data model. Where the second answer differs, the line says how.

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

/// Sets up the world, sends the same write this many times, and returns the answers.
pub type SendWrite = for<'a> fn(&'a World, &'a App, usize) -> LocalBoxFuture<'a, Vec<String>>;

/// The answer to the second of two equal writes when the first took effect.
#[derive(Clone, Copy, Debug)]
pub enum SecondAnswer {
    /// The same answer.
    Same,
    /// An answer that contains this text.
    Contains(&'static str),
}

/// Writes whose repetition changes the table on purpose.
const NOT_REPEATABLE: [&str; 3] = [
    // The version grows again, so a call that decided in between must decide again.
    "cancel_if_leased",
    // The repetition counts one more of about five hundred allowed uploads.
    "count_upload_if_allowed",
    // The repetition uses one of three redeliveries.
    "redeliver_if_leased",
];

/// Gives the first write a fault.
struct FirstWrite(Mutex<Option<WriteFault>>);

/// A fault of a write. The error of the service depends on the operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum WriteFault {
    RequestLost,
    ResponseLost,
    Doubled,
    Throttled,
    OutOfOrder,
    Conflict,
    /// Throttling within a transaction.
    ReasonThrottled,
}

const WRITE_FAULTS: [WriteFault; 7] = [
    WriteFault::RequestLost,
    WriteFault::ResponseLost,
    WriteFault::Doubled,
    WriteFault::Throttled,
    WriteFault::OutOfOrder,
    WriteFault::Conflict,
    WriteFault::ReasonThrottled,
];

impl WriteFault {
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
        let is_write = writes.contains(&request.operation.as_str());
        let fault = self.0.lock().unwrap().take_if(|_| is_write);
        fault.map_or(Fault::None, |fault| fault.of(&request.operation))
    }
}

/// Runs the writes. Returns the answers and the final content of the table.
async fn run_writes(
    send_write: SendWrite,
    times: usize,
    fault: Option<(WriteFault, RetryConfig)>,
) -> (Vec<String>, Value) {
    let world = World::new().await;
    let faults = Arc::new(FirstWrite(Mutex::new(fault.as_ref().map(|(fault, _)| *fault))));
    let retries = fault.map_or_else(RetryConfig::disabled, |(_, retries)| retries);
    let app = world.with_faults_and_retries(faults.clone(), retries);
    let answers = send_write(&world, &app, times).await;
    assert_eq!(*faults.0.lock().unwrap(), None, "the fault did not happen");
    (answers, table(&world).await)
}

/// All items in the order of their keys.
async fn table(world: &World) -> Value {
    let name = &world.bundle.template.tables[0].name;
    let scanned = world.bundle.aws.engine().call("Scan", json!({"TableName": name})).await.body;
    let mut items = scanned["Items"].as_array().unwrap().clone();
    items.sort_by_key(|item| (item["pk"].to_string(), item["sk"].to_string()));
    json!(items)
}

#[tokio::test(start_paused = true)]
async fn a_write_with_a_fault_and_retries_ends_like_a_write_without_a_fault() {
    for (name, _, send_write) in writes::ALL {
        let (_, setup) = run_writes(*send_write, 0, None).await;
        let expected = run_writes(*send_write, 1, None).await;
        assert!(expected.0[0].starts_with("Ok("), "{name}: {:?}", expected.0);
        assert_ne!(setup, expected.1, "{name} wrote nothing");
        for fault in WRITE_FAULTS {
            let found = run_writes(*send_write, 1, Some((fault, af_aws::retries()))).await;
            assert_eq!(found, expected, "{name}, {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_an_answer_may_send_the_write_again() {
    for (name, second_answer, send_write) in writes::ALL {
        let (answers, expected) = run_writes(*send_write, 1, None).await;
        let lost = |fault| Some((fault, RetryConfig::disabled()));
        let (not_done, found) = run_writes(*send_write, 2, lost(WriteFault::RequestLost)).await;
        assert!(not_done[0].starts_with("Err("), "{name}: {not_done:?}");
        assert_eq!((&not_done[1], found), (&answers[0], expected.clone()), "{name}, the request was lost");
        let (done, found) = run_writes(*send_write, 2, lost(WriteFault::ResponseLost)).await;
        assert!(done[0].starts_with("Err("), "{name}: {done:?}");
        match second_answer {
            SecondAnswer::Same => assert_eq!(done[1], answers[0], "{name}, the answer was lost"),
            SecondAnswer::Contains(text) => {
                assert!(done[1].contains(text), "{name}, the answer was lost: {}", done[1])
            }
        }
        assert_eq!(found, expected, "{name}, the answer was lost");
    }
}

/// The names of the writes in the data model: each has a heading.
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
fn every_conditional_write_of_the_data_model_has_a_test() {
    let named = writes::ALL.iter().map(|(name, ..)| *name).chain(NOT_REPEATABLE);
    let known: BTreeSet<String> = named.map(str::to_owned).collect();
    assert!(!known.is_empty());
    assert_eq!(documented(), known);
}
