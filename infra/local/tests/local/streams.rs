//! The table of a template in the embedded engine, and the delivery by its stream mapping.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use af_domain::time::{Millis, Timestamp};
use af_emulator_aws::{Engine, TableDefinition};
use af_local::TableStreams;
use af_runtime::virtual_clock::VirtualClock;
use af_sam::invoke::EventFunction;
use af_sam::stream::checkpoint::CheckpointDir;
use af_sam::stream::pump::Pump;
use af_sam::template::{EventDef, Template};
use serde_json::{Value, json};
use tokio::sync::mpsc;

const TEMPLATE: &str = r#"
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      StreamSpecification: {StreamViewType: NEW_AND_OLD_IMAGES}
  Reconcile:
    Type: AWS::Serverless::Function
    Metadata: {BuildProperties: {Binary: reconcile}}
    Properties:
      Events:
        Ready:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Table.StreamArn
            StartingPosition: LATEST
            FilterCriteria:
              Filters:
                - Pattern: '{"dynamodb": {"Keys": {"pk": {"S": [{"prefix": "C#"}]}}, "NewImage": {"rp": {"S": [{"exists": true}]}}}}'
"#;

/// 2026-01-01, in milliseconds.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A function that forwards the `pk` of each record.
fn recorder() -> (EventFunction, mpsc::UnboundedReceiver<String>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let function = EventFunction::new("Reconcile", Millis::from_secs(3), move |event: Value| {
        for record in event["Records"].as_array().unwrap() {
            let pk = record["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap();
            sender.send(pk.to_owned()).unwrap();
        }
        async { anyhow::Ok(Value::Null) }
    });
    (function, receiver)
}

fn received(receiver: &mut mpsc::UnboundedReceiver<String>) -> Vec<String> {
    std::iter::from_fn(|| receiver.try_recv().ok()).collect()
}

fn template() -> Template {
    Template::parse(TEMPLATE, &BTreeMap::new()).unwrap()
}

async fn create(engine: &Engine) {
    let tables = template().tables.into_iter();
    let tables: Vec<_> = tables
        .map(|table| TableDefinition { create: table.create_table, ttl_attribute: table.ttl_attribute })
        .collect();
    engine.create_tables(&tables).await.unwrap();
}

fn start(engine: &Engine, checkpoints: Option<CheckpointDir>, function: EventFunction) -> Pump {
    let EventDef::Stream(mapping) = template().functions[0].events[0].clone() else {
        panic!("expected a stream mapping");
    };
    Pump::start(Arc::new(TableStreams(engine.clone())), checkpoints, vec![(mapping, function)]).unwrap()
}

async fn put(engine: &Engine, item: Value) {
    let table = &template().tables[0].name;
    let reply = engine.call("PutItem", json!({"TableName": table, "Item": item})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

async fn put_ready(engine: &Engine, pk: &str) {
    put(engine, json!({"pk": {"S": pk}, "rp": {"S": "R#1"}})).await;
}

#[tokio::test]
async fn the_function_gets_the_records_that_the_templates_filter_matches() {
    let engine = Engine::memory(Arc::new(VirtualClock::frozen_at(START))).unwrap();
    create(&engine).await;
    let (function, mut calls) = recorder();
    let pump = start(&engine, None, function);
    put_ready(&engine, "C#1").await;
    put_ready(&engine, "M#1").await;
    put(&engine, json!({"pk": {"S": "C#2"}})).await;
    put_ready(&engine, "C#3").await;
    pump.settled().await;
    assert_eq!(received(&mut calls), ["C#1", "C#3"]);
    put_ready(&engine, "C#2").await;
    assert_eq!(calls.recv().await.unwrap(), "C#2", "a later write is delivered too");
}

async fn open(dir: &Path) -> (Engine, Pump, mpsc::UnboundedReceiver<String>) {
    let clock = Arc::new(VirtualClock::frozen_at(START));
    let engine = Engine::open(&dir.join("dynamodb.sqlite"), clock).unwrap();
    create(&engine).await;
    let (function, calls) = recorder();
    let checkpoints = CheckpointDir::open(dir.join("streams")).unwrap();
    let pump = start(&engine, Some(checkpoints), function);
    (engine, pump, calls)
}

#[tokio::test]
async fn no_record_is_lost_or_repeated_over_a_stop_and_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, pump, mut calls) = open(dir.path()).await;
    for n in 0..600 {
        put_ready(&engine, &format!("C#{n}")).await;
    }
    pump.settled().await;
    assert_eq!(received(&mut calls).len(), 600);
    pump.stop().await;
    // All records are trimmed now. A write before the next start must still get a higher number.
    put_ready(&engine, "C#stopped").await;
    drop(engine);

    let (engine, pump, mut calls) = open(dir.path()).await;
    pump.settled().await;
    assert_eq!(received(&mut calls), ["C#stopped"]);
    put_ready(&engine, "C#1").await;
    pump.settled().await;
    assert_eq!(received(&mut calls), ["C#1"]);
    drop((pump, engine));

    let (engine, pump, mut calls) = open(dir.path()).await;
    put_ready(&engine, "C#2").await;
    pump.settled().await;
    assert_eq!(received(&mut calls), ["C#2"]);
}
