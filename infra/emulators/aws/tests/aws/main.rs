//! The embedded AWS through the real SDK clients, without a socket and over loopback.
#![allow(clippy::unwrap_used, reason = "all of this is tests and their helpers")]

mod dynamodb;
mod faults;
mod meter;
mod objects;
mod presigned;
mod secrets;
mod signed;
mod streams;

use std::sync::Arc;

use af_domain::time::Timestamp;
use af_emulator_aws::{Engine, LocalAws, Secrets, TableDefinition};
use af_runtime::clock::SharedClock;
use af_runtime::virtual_clock::VirtualClock;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::retry::RetryConfig;
use serde_json::json;

const TABLE: &str = "things";

/// 2026-01-01, in milliseconds.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn definition() -> TableDefinition {
    TableDefinition {
        create: json!({
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
                {"AttributeName": "rp", "AttributeType": "S"},
                {"AttributeName": "rk", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "GlobalSecondaryIndexes": [{
                "IndexName": "ready",
                "KeySchema": [
                    {"AttributeName": "rp", "KeyType": "HASH"},
                    {"AttributeName": "rk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        }),
        ttl_attribute: Some("ttl".to_owned()),
    }
}

fn clock() -> (VirtualClock, SharedClock) {
    let clock = VirtualClock::frozen_at(START);
    (clock.clone(), Arc::new(clock))
}

async fn memory() -> LocalAws {
    let engine = Engine::memory(clock().1).unwrap();
    engine.create_tables(&[definition()]).await.unwrap();
    LocalAws::new(engine, Secrets::memory())
}

fn dynamodb(aws: &LocalAws) -> aws_sdk_dynamodb::Client {
    dynamodb_retrying(aws, RetryConfig::disabled())
}

fn dynamodb_retrying(aws: &LocalAws, retry: RetryConfig) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(&aws.sdk_config(retry))
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

async fn put(client: &aws_sdk_dynamodb::Client, pk: &str, count: i64) {
    client
        .put_item()
        .table_name(TABLE)
        .item("pk", s(pk))
        .item("sk", s("#"))
        .item("rp", s("READY"))
        .item("rk", s(pk))
        .item("count", n(count))
        .send()
        .await
        .unwrap();
}

async fn count(client: &aws_sdk_dynamodb::Client, pk: &str) -> Option<AttributeValue> {
    let got = client.get_item().table_name(TABLE).key("pk", s(pk)).key("sk", s("#")).send().await.unwrap();
    got.item.and_then(|mut item| item.remove("count"))
}

fn add_one(client: &aws_sdk_dynamodb::Client, pk: &str) -> AddOne {
    client
        .update_item()
        .table_name(TABLE)
        .key("pk", s(pk))
        .key("sk", s("#"))
        .update_expression("ADD #count :one")
        .expression_attribute_names("#count", "count")
        .expression_attribute_values(":one", n(1))
}

type AddOne = aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;

#[tokio::test]
async fn the_same_services_answer_over_loopback() {
    let aws = memory().await;
    put(&dynamodb(&aws), "a", 5).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, aws.endpoint_router()).await });
    let ask = async |target: &str, body: &str| {
        let response = signed::post(&url, &signed::default_credentials(), target, body).await;
        (response.status().as_u16(), response.json::<serde_json::Value>().await.unwrap())
    };
    let key = json!({"TableName": TABLE, "Key": {"pk": {"S": "a"}, "sk": {"S": "#"}}}).to_string();
    let (status, got) = ask("DynamoDB_20120810.GetItem", &key).await;
    assert_eq!((status, &got["Item"]["count"]), (200, &json!({"N": "5"})));
    let (status, refused) = ask("DynamoDB_20120810.GetItem", "{").await;
    assert_eq!(
        (status, &refused["__type"]),
        (400, &json!("com.amazon.coral.service#SerializationException"))
    );
    let (status, refused) = ask("DynamoDB_20120810.GetItem", r#"{"TableName": 5}"#).await;
    assert_eq!(status, 400, "{refused}");
    assert_eq!(ask("secretsmanager.BatchGetSecretValue", r#"{"SecretIdList": ["a"]}"#).await.0, 200);
    let (status, problem) = ask("AmazonSQS.SendMessage", "{}").await;
    assert_eq!((status, &problem["code"]), (501, &json!("not_implemented")));
}
