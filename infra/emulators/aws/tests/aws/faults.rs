//! Requests with faults.

use std::sync::{Arc, Mutex};

use af_domain::time::Millis;
use af_emulator_aws::{Fault, Faults, Meter, WireRequest};
use aws_sdk_dynamodb::types::{KeysAndAttributes, Put, TransactWriteItem};
use aws_smithy_types::retry::RetryConfig;
use serde_json::json;

use super::{TABLE, add_one, count, dynamodb, dynamodb_retrying, memory, n, s};

/// Applies a fault to the first `UpdateItem`.
struct Once(Mutex<Option<Fault>>);

impl Once {
    fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(fault))))
    }
}

impl Faults for Once {
    fn before(&self, request: &WireRequest) -> Fault {
        let concerns = request.operation == "UpdateItem" && request.body["TableName"] == TABLE;
        let fault = self.0.lock().unwrap().take_if(|_| concerns);
        fault.unwrap_or(Fault::None)
    }
}

#[tokio::test]
async fn a_lost_request_has_no_effect_and_a_lost_response_has_its_full_effect() {
    for (fault, expected) in [(Fault::LoseRequest, None), (Fault::LoseResponse, Some(n(1)))] {
        let aws = memory().await;
        let troubled = dynamodb(&aws.clone().with_faults(Once::new(fault)));
        let lost = add_one(&troubled, "a").send().await.unwrap_err();
        assert!(matches!(lost, aws_sdk_dynamodb::error::SdkError::DispatchFailure(_)), "{lost:?}");
        assert_eq!(count(&dynamodb(&aws), "a").await, expected);
    }
}

#[tokio::test]
async fn a_duplicated_request_is_carried_out_twice() {
    let aws = memory().await;
    add_one(&dynamodb(&aws.clone().with_faults(Once::new(Fault::Duplicate))), "a").send().await.unwrap();
    assert_eq!(count(&dynamodb(&aws), "a").await, Some(n(2)));
}

#[tokio::test]
async fn an_injected_error_becomes_the_typed_error_of_the_sdk() {
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
        "message": "Transaction is ongoing for the item",
    });
    let aws = memory().await;
    let troubled = dynamodb(&aws.clone().with_faults(Once::new(Fault::Respond { status: 400, body })));
    let refused = add_one(&troubled, "a").send().await.unwrap_err().into_service_error();
    assert!(refused.is_transaction_conflict_exception(), "{refused:?}");
    assert_eq!(count(&dynamodb(&aws), "a").await, None);
}

#[tokio::test(start_paused = true)]
async fn the_sdk_retries_after_a_lost_response_and_a_transaction_takes_effect_once() {
    struct LoseFirstTransaction(Mutex<bool>);
    impl Faults for LoseFirstTransaction {
        fn before(&self, request: &WireRequest) -> Fault {
            let mut lost = self.0.lock().unwrap();
            if request.operation == "TransactWriteItems" && !std::mem::replace(&mut lost, true) {
                Fault::LoseResponse
            } else {
                Fault::None
            }
        }
    }
    let meter = Meter::default();
    let aws = memory().await;
    let troubled =
        aws.clone().with_meter(meter.clone()).with_faults(Arc::new(LoseFirstTransaction(false.into())));
    let write = Put::builder()
        .table_name(TABLE)
        .item("pk", s("a"))
        .item("sk", s("#"))
        .item("count", n(1))
        .condition_expression("attribute_not_exists(pk)")
        .build()
        .unwrap();
    dynamodb_retrying(&troubled, RetryConfig::standard())
        .transact_write_items()
        .transact_items(TransactWriteItem::builder().put(write).build())
        .send()
        .await
        .unwrap();
    let used = meter.take();
    assert_eq!((used.requests, used.write_units, used.failed_conditions), (2, 2.0, 0));
    assert_eq!(count(&dynamodb(&aws), "a").await, Some(n(1)));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_request_is_carried_out_after_its_delay() {
    let aws = memory().await;
    let delayed = dynamodb(&aws.clone().with_faults(Once::new(Fault::Delay(Millis::from_secs(2)))));
    let begun = tokio::time::Instant::now();
    add_one(&delayed, "a").send().await.unwrap();
    assert!(begun.elapsed() >= std::time::Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_late_request_is_carried_out_after_its_sender_has_given_up() {
    let aws = memory().await;
    let late = dynamodb(&aws.clone().with_faults(Once::new(Fault::Late(Millis::from_secs(2)))));
    add_one(&late, "a").send().await.unwrap_err();
    assert_eq!(count(&dynamodb(&aws), "a").await, None);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(count(&dynamodb(&aws), "a").await, Some(n(1)));
}

#[tokio::test]
async fn a_partial_batch_read_returns_the_unprocessed_keys_which_can_be_read_again() {
    struct CutShort;
    impl Faults for CutShort {
        fn before(&self, request: &WireRequest) -> Fault {
            if request.operation == "BatchGetItem" { Fault::Unprocessed(2) } else { Fault::None }
        }
    }
    let aws = memory().await;
    let names = ["a", "b", "c"];
    for name in names {
        add_one(&dynamodb(&aws), name).send().await.unwrap();
    }
    let troubled = dynamodb(&aws.with_faults(Arc::new(CutShort)));
    let keys = names.map(|name| [("pk".to_owned(), s(name)), ("sk".to_owned(), s("#"))].into());
    let mut wanted =
        KeysAndAttributes::builder().set_keys(Some(keys.into())).consistent_read(true).build().unwrap();
    for (found, left) in [(2, 1), (1, 0)] {
        let read = troubled.batch_get_item().request_items(TABLE, wanted.clone()).send().await.unwrap();
        assert_eq!(read.responses.unwrap()[TABLE].len(), found);
        let rest = read.unprocessed_keys.unwrap_or_default().remove(TABLE);
        assert_eq!(rest.as_ref().map_or(0, |rest| rest.keys.len()), left);
        wanted = rest.unwrap_or(wanted);
        assert_eq!(wanted.consistent_read, Some(true), "the unprocessed keys keep their consistency");
    }
}
