//! Batches of the table's stream that come again: the counters know them by their records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use af_app::queue;
use af_app::queue::counters::{StreamRecord, count};
use af_domain::time::Millis;
use af_emulator_aws::{Fault, Faults, WireRequest};

use crate::world::{World, conversation};

const MAX_RECORDS: usize = 100;
/// A waiting message as no version has ever written one.
const UNREADABLE: &str = r#"{"L": [{"S": "later"}]}"#;
/// As long as Lambda may wait before it brings a batch again; less than a transaction's token is good for.
const LATER: Millis = Millis::from_secs(300);

/// The first transaction is carried out, and its answer is lost.
struct FirstAnswerLost(AtomicBool);

impl Faults for FirstAnswerLost {
    fn before(&self, request: &WireRequest) -> Fault {
        let is_first = request.operation == "TransactWriteItems" && !self.0.swap(true, Ordering::Relaxed);
        if is_first { Fault::LoseResponse } else { Fault::None }
    }
}

fn changes_of_conversations(world: &World) -> Vec<StreamRecord> {
    let table = &world.bundle.template.tables[0].name;
    let records = world.bundle.aws.engine().records(table, None, MAX_RECORDS).unwrap();
    let of_conversations = records.into_iter().filter(|r| {
        let keys = &r["dynamodb"]["Keys"];
        keys["pk"]["S"].as_str().unwrap().starts_with("C#") && keys["sk"]["S"] == "#"
    });
    of_conversations.map(|r| serde_json::from_value(r).unwrap()).collect()
}

#[tokio::test]
async fn a_batch_that_was_counted_without_an_answer_counts_once_when_it_comes_again() {
    let world = World::new().await;
    for name in ["one", "two"] {
        world.enqueue(&conversation(name), None).await;
    }
    let batch = changes_of_conversations(&world);
    assert_eq!(batch.len(), 2);
    let troubled = world.troubled(Arc::new(FirstAnswerLost(AtomicBool::new(false))));
    count(&troubled, &batch).await.unwrap_err();
    world.bundle.clock.advance(LATER);
    count(&troubled, &batch).await.unwrap();
    let stats = queue::stats(&world.app).await.unwrap();
    assert_eq!(stats.queued_ready, 2);
    assert_eq!(
        stats.as_of.map(|at| world.app.now().since(at)),
        Some(LATER),
        "they are as old as their records"
    );
}

#[tokio::test]
async fn a_record_that_cannot_be_read_keeps_no_other_from_being_counted() {
    let world = World::new().await;
    for name in ["one", "two", "three"] {
        world.enqueue(&conversation(name), None).await;
    }
    let mut batch = changes_of_conversations(&world);
    let spoilt = batch[1].dynamodb.new_image.as_mut().unwrap();
    spoilt.insert("pe".into(), serde_json::from_str(UNREADABLE).unwrap());
    count(&world.app, &batch).await.unwrap();
    assert_eq!(queue::stats(&world.app).await.unwrap().queued_ready, 2);
}
