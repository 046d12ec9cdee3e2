//! The ledger counts every attempt once, although the stream delivers records twice and batches are retried.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use af_app::queue::counters::StreamRecord;
use af_app::queue::ledger::{list, recent_days, record};
use af_app::worker::{DeliveredBy, Report, Retry, complete, fail};
use af_domain::ids::ModelName;
use af_domain::ledger::Figures;
use af_domain::time::Millis;
use af_domain::usage::Usage;
use af_emulator_aws::{Fault, Faults, WireRequest};
use af_store::conversation::CompleteWith;
use af_store::ledger::{Account, Rows};
use serde_json::{Value, json};

use crate::world::{World, conversation_id, empty_completion};

const MAX_RECORDS: usize = 1_000;
/// The function fails with this transaction of the batch, which still takes effect.
const LOST: usize = 2;
/// Longer than a token of a transaction is valid.
const LATER: Millis = Millis::from_secs(3_600);
/// More users than one transaction has rows for.
const USERS: u64 = 250;

/// Loses the response of one transaction.
#[derive(Default)]
struct OneAnswerLost {
    transactions: AtomicUsize,
    lost: usize,
}

impl Faults for OneAnswerLost {
    fn before(&self, request: &WireRequest) -> Fault {
        let is_transaction = request.operation == "TransactWriteItems";
        let is_lost = is_transaction && self.transactions.fetch_add(1, Ordering::Relaxed) + 1 == self.lost;
        if is_lost { Fault::LoseResponse } else { Fault::None }
    }
}

fn usage(input_tokens: u64, cost_micros: Option<u64>) -> Option<Usage> {
    let model = Some(ModelName::parse("small-1").unwrap());
    Some(Usage { model, input_tokens, output_tokens: 1, cost_micros, ..Usage::default() })
}

/// A message of user `ann` that fails once and is completed with the second attempt, each a second after its claim.
async fn answered_with_the_second_attempt(world: &World) {
    let conversation = conversation_id("user-agent:demo:ann");
    world.enqueue(&conversation, None).await;
    let worker = world.worker("w", Some(&conversation)).await;
    let first = world.claim(&worker, Some(&conversation)).await;
    world.bundle.clock.advance(Millis::from_secs(1));
    let report = Report { error: "busy", usage: usage(100, Some(7)) };
    fail(&world.app, &worker, &first.message, &first.lease, report, Retry::After(None)).await.unwrap();
    world.bundle.clock.advance(Millis::from_secs(60));
    let second = world.claim(&worker, Some(&conversation)).await;
    world.bundle.clock.advance(Millis::from_secs(1));
    let with = CompleteWith { usage: usage(30, None), ..empty_completion() };
    complete(&world.app, &worker, &second.message, &second.lease, with, DeliveredBy::Worker).await.unwrap();
}

/// The records of changed messages.
fn changes_of_messages(world: &World) -> Vec<Value> {
    let table = &world.bundle.template.tables[0].name;
    let records = world.bundle.aws.engine().records(table, None, MAX_RECORDS).unwrap();
    let is_of_message =
        |record: &Value| record["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap().starts_with("M#");
    records.into_iter().filter(is_of_message).collect()
}

fn batch(records: &[Value]) -> Vec<StreamRecord> {
    records.iter().map(|record| serde_json::from_value(record.clone()).unwrap()).collect()
}

async fn rows(world: &World, rows: Rows) -> Vec<(Account, Figures)> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page =
            list(&world.app, &rows, recent_days(world.app.now()), after.as_deref(), 100).await.unwrap();
        found.extend(page.items.into_iter().map(|row| (row.account, row.figures)));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

async fn deployment(world: &World) -> Figures {
    rows(world, Rows::OfDeployment).await[0].1
}

const EXPECTED: Figures = Figures {
    messages: 1,
    failed: 0,
    delivered: 0,
    attempts: 2,
    unpriced_attempts: 1,
    input_tokens: 130,
    cached_input_tokens: 0,
    output_tokens: 2,
    cost_micros: 7,
    run_ms: 2_000,
};

#[tokio::test]
async fn every_attempt_counts_for_deployment_agent_user_and_model() {
    let world = World::new().await;
    answered_with_the_second_attempt(&world).await;
    record(&world.app, &batch(&changes_of_messages(&world))).await.unwrap();
    for of in [Rows::OfDeployment, Rows::OfAgents, Rows::OfUsers] {
        let found = rows(&world, of.clone()).await;
        assert_eq!(found.iter().map(|(_, figures)| *figures).collect::<Vec<_>>(), [EXPECTED], "{of:?}");
    }
    let models = rows(&world, Rows::OfModels).await;
    assert_eq!(models[0].1, Figures { messages: 0, ..EXPECTED }, "a message has no model");
}

#[tokio::test]
async fn a_batch_of_the_ledger_whose_response_was_lost_counts_once_after_redelivery() {
    let world = World::new().await;
    answered_with_the_second_attempt(&world).await;
    let records = changes_of_messages(&world);
    let faulty = world.with_faults(Arc::new(OneAnswerLost { lost: 1, ..OneAnswerLost::default() }));
    record(&faulty, &batch(&records)).await.unwrap_err();
    assert_eq!(deployment(&world).await, EXPECTED, "the write took effect");
    for _ in 0..2 {
        // The token of a transaction has ended.
        world.bundle.clock.advance(LATER);
        record(&world.app, &batch(&records)).await.unwrap();
        assert_eq!(deployment(&world).await, EXPECTED);
    }
}

#[tokio::test]
async fn the_parts_of_a_large_batch_count_once_each_after_a_crash_between_them() {
    let world = World::new().await;
    answered_with_the_second_attempt(&world).await;
    let end = changes_of_messages(&world).pop().unwrap();
    let of_user = |n: u64| {
        let mut record = end.clone();
        record["dynamodb"]["SequenceNumber"] = json!(format!("{n}"));
        for image in ["OldImage", "NewImage"] {
            record["dynamodb"][image]["cid"]["S"] = json!(format!("user-agent:demo:user-{n:03}"));
        }
        record
    };
    let records: Vec<_> = (0..USERS).map(of_user).collect();
    let faulty = world.with_faults(Arc::new(OneAnswerLost { lost: LOST, ..OneAnswerLost::default() }));
    record(&faulty, &batch(&records)).await.unwrap_err();
    let counted = rows(&world, Rows::OfUsers).await.len() as u64;
    assert!(counted > 0 && counted < USERS, "{counted} users are counted before the crash");
    record(&world.app, &batch(&records)).await.unwrap();
    let users = rows(&world, Rows::OfUsers).await;
    assert_eq!(users.len() as u64, USERS);
    assert!(users.iter().all(|(_, figures)| (figures.messages, figures.input_tokens) == (1, 30)));
    assert_eq!(deployment(&world).await.messages, USERS);
}

#[tokio::test]
async fn batches_that_arrive_at_once_are_all_counted() {
    let world = World::new().await;
    answered_with_the_second_attempt(&world).await;
    let end = changes_of_messages(&world).pop().unwrap();
    let batches: Vec<_> = (0..8)
        .map(|n| {
            let mut record = end.clone();
            record["dynamodb"]["SequenceNumber"] = json!(format!("{n}"));
            batch(&[record])
        })
        .collect();
    let counting = batches.iter().map(|batch| record(&world.app, batch));
    for counted in futures::future::join_all(counting).await {
        counted.unwrap();
    }
    assert_eq!(deployment(&world).await.messages, 8);
}

#[tokio::test]
async fn an_unreadable_message_does_not_stop_the_ledger() {
    let world = World::new().await;
    answered_with_the_second_attempt(&world).await;
    let mut records = changes_of_messages(&world);
    let mut malformed = records.last().unwrap().clone();
    malformed["dynamodb"]["NewImage"]["ats"] = json!({"L": [{"S": "later"}]});
    records.insert(0, malformed);
    record(&world.app, &batch(&records)).await.unwrap();
    assert_eq!(deployment(&world).await, EXPECTED);
}
