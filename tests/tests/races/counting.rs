//! Batches of the table's stream that Lambda delivers again: the counters recognise them by their records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use af_app::queue;
use af_app::queue::counters::{StreamRecord, count};
use af_domain::time::{Millis, Timestamp};
use af_emulator_aws::{Fault, Faults, WireRequest};

use crate::world::{World, conversation_id};

const MAX_RECORDS: usize = 100;
/// A queue entry in a format that no version has written.
const UNREADABLE: &str = r#"{"L": [{"S": "later"}]}"#;
/// A delay before Lambda delivers a batch again. It is shorter than the validity of a transaction's token.
const LATER: Millis = Millis::from_secs(300);

/// Loses the answer of the first transaction, which takes effect.
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
async fn a_batch_whose_answer_was_lost_is_counted_once_after_redelivery() {
    let world = World::new().await;
    for name in ["one", "two"] {
        world.enqueue(&conversation_id(name), None).await;
    }
    let batch = changes_of_conversations(&world);
    assert_eq!(batch.len(), 2);
    let faulty = world.with_faults(Arc::new(FirstAnswerLost(AtomicBool::new(false))));
    count(&faulty, &batch).await.unwrap_err();
    world.bundle.clock.advance(LATER);
    count(&faulty, &batch).await.unwrap();
    let stats = queue::stats(&world.app).await.unwrap();
    assert_eq!(stats.queued_ready, 2);
    assert_eq!(
        stats.as_of.map(|at| world.app.now().since(Timestamp::from_millis(at))),
        Some(LATER),
        "the counters are as old as their records"
    );
}

#[tokio::test]
async fn an_unreadable_record_does_not_stop_the_counting_of_others() {
    let world = World::new().await;
    for name in ["one", "two", "three"] {
        world.enqueue(&conversation_id(name), None).await;
    }
    let mut batch = changes_of_conversations(&world);
    let malformed = batch[1].dynamodb.new_image.as_mut().unwrap();
    malformed.insert("pe".into(), serde_json::from_str(UNREADABLE).unwrap());
    count(&world.app, &batch).await.unwrap();
    assert_eq!(queue::stats(&world.app).await.unwrap().queued_ready, 2);
}
