//! The embedded DynamoDB as a source of stream records, and its speed with many records.

use std::time::Duration;

use af_emulator_aws::{Engine, TableDefinition};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{START, TABLE, clock};

async fn with_table(engine: Engine) -> Engine {
    let create = json!({
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    });
    engine.create_tables(&[TableDefinition { create, ttl_attribute: None }]).await.unwrap();
    engine
}

async fn memory() -> Engine {
    with_table(Engine::memory(clock().1).unwrap()).await
}

async fn put(engine: &Engine, n: usize) {
    let item = json!({"pk": {"S": format!("k{n:06}")}, "text": {"S": "x".repeat(300)}});
    let reply = engine.call("PutItem", json!({"TableName": TABLE, "Item": item})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

fn keys(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap()).collect()
}

fn number(record: &Value) -> &str {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap()
}

#[tokio::test]
async fn a_record_has_the_form_that_lambda_gets() {
    let engine = memory().await;
    put(&engine, 1).await;
    let delete = json!({"TableName": TABLE, "Key": {"pk": {"S": "k000001"}}});
    engine.call("DeleteItem", delete).await;
    let records = engine.records(TABLE, None, 10).unwrap();
    let names: Vec<_> = records.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["INSERT", "REMOVE"]);
    let record = &records[1];
    assert_eq!(record["eventSource"], "aws:dynamodb");
    assert!(record["eventID"].is_string() && record["eventVersion"].is_string());
    assert!(record["eventSourceARN"].as_str().unwrap().contains(":table/things/stream/"));
    let change = &record["dynamodb"];
    assert_eq!(change["Keys"], json!({"pk": {"S": "k000001"}}));
    assert_eq!(change["OldImage"]["pk"], json!({"S": "k000001"}));
    assert!(change["NewImage"].is_null());
    assert_eq!(change["StreamViewType"], "NEW_AND_OLD_IMAGES");
    assert_eq!(change["ApproximateCreationDateTime"].as_f64().unwrap() as u64, START.as_secs());
}

#[tokio::test]
async fn a_read_starts_after_a_sequence_number_and_stops_at_a_limit() {
    let engine = memory().await;
    for n in 0..1_500 {
        put(&engine, n).await;
    }
    let all = engine.records(TABLE, None, 2_000).unwrap();
    assert_eq!(all.len(), 1_500);
    assert!(all.is_sorted_by(|a, b| number(a) < number(b)));
    let some = engine.records(TABLE, Some(number(&all[9])), 3).unwrap();
    assert_eq!(keys(&some), ["k000010", "k000011", "k000012"]);
    assert!(engine.records(TABLE, Some(number(&all[1_499])), 3).unwrap().is_empty());
    assert!(engine.records("nothing", None, 3).unwrap().is_empty());
    assert!(engine.records(TABLE, Some("soon"), 3).is_err());
}

#[tokio::test]
async fn trimmed_records_are_gone_and_sequence_numbers_keep_growing() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Engine::open(&dir.path().join("tables.sqlite"), clock().1).unwrap();
    let engine = with_table(open()).await;
    for n in 0..3 {
        put(&engine, n).await;
    }
    let records = engine.records(TABLE, None, 10).unwrap();
    let last = number(&records[2]).to_owned();
    engine.trim(TABLE, number(&records[0])).unwrap();
    assert_eq!(keys(&engine.records(TABLE, None, 10).unwrap()), ["k000001", "k000002"]);
    engine.trim(TABLE, &last).unwrap();
    engine.trim(TABLE, &last).unwrap();
    assert!(engine.records(TABLE, None, 10).unwrap().is_empty());
    drop(engine);

    // Both runs have the same clock.
    let engine = open();
    put(&engine, 3).await;
    let records = engine.records(TABLE, Some(&last), 10).unwrap();
    assert_eq!(keys(&records), ["k000003"]);
    assert!(number(&records[0]) > last.as_str());
    assert_eq!(keys(&engine.records(TABLE, None, 10).unwrap()), ["k000003"]);
}

#[tokio::test]
async fn every_write_is_signalled_and_a_refused_one_is_not() {
    let engine = memory().await;
    let mut writes = engine.writes();
    writes.mark_unchanged();
    let refused = json!({
        "TableName": TABLE,
        "Item": {"pk": {"S": "a"}},
        "ConditionExpression": "attribute_exists(pk)",
    });
    assert_eq!(engine.call("PutItem", refused).await.status, 400);
    assert!(!writes.has_changed().unwrap());
    put(&engine, 1).await;
    assert!(writes.has_changed().unwrap());
}

#[tokio::test]
async fn the_twenty_thousandth_write_takes_about_as_long_as_the_first() {
    let full = memory().await;
    for n in 0..20_000 {
        put(&full, n).await;
    }
    // The first and the last hundred writes are timed alternately on two engines. So other load of the machine slows
    // both, and the median ignores the few interrupted writes.
    let fresh = memory().await;
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    for n in 0..100 {
        firsts.push(timed(put(&fresh, n)).await);
        lasts.push(timed(put(&full, 20_000 + n)).await);
    }
    let (first, last) = (median(firsts), median(lasts));
    assert!(last <= first * 3 / 2, "first hundred {first:?} each, after 20 000 {last:?}");
}

async fn timed(call: impl Future<Output = ()>) -> Duration {
    let begun = Instant::now();
    call.await;
    begun.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
