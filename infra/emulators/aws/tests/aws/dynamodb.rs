//! Items, transactions, indexes and tables.

use af_domain::time::Millis;
use af_emulator_aws::{Engine, LocalAws, Secrets};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{ConditionCheck, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use serde_json::json;

use super::{START, TABLE, add_one, clock, count, definition, dynamodb, memory, n, put, s};

#[tokio::test]
async fn a_stored_item_is_read_and_found_by_its_index() {
    let aws = memory().await;
    let client = dynamodb(&aws);
    for pk in ["b", "a", "c"] {
        put(&client, pk, 1).await;
    }
    assert_eq!(count(&client, "a").await, Some(n(1)));
    let found = client
        .query()
        .table_name(TABLE)
        .index_name("ready")
        .key_condition_expression("rp = :rp AND rk < :below")
        .expression_attribute_values(":rp", s("READY"))
        .expression_attribute_values(":below", s("c"))
        .send()
        .await
        .unwrap();
    let keys: Vec<_> = found.items().iter().map(|item| item["pk"].as_s().unwrap().as_str()).collect();
    assert_eq!(keys, ["a", "b"]);
    assert!(found.items().iter().all(|item| !item.contains_key("count")), "the index contains keys only");
}

#[tokio::test]
async fn imported_items_are_like_items_that_were_put() {
    let aws = memory().await;
    let client = dynamodb(&aws);
    put(&client, "b", 7).await;
    let item = |pk: &str, count: &str| json!({"pk": {"S": pk}, "sk": {"S": "#"}, "count": {"N": count}, "rp": {"S": "READY"}, "rk": {"S": pk}});
    let imported = aws.engine().import(TABLE, [item("a", "1"), item("b", "2")], false).await.unwrap();
    assert_eq!(imported, 2);
    assert_eq!((count(&client, "a").await, count(&client, "b").await), (Some(n(1)), Some(n(2))));
    let listed = client
        .query()
        .table_name(TABLE)
        .index_name("ready")
        .key_condition_expression("rp = :rp")
        .expression_attribute_values(":rp", s("READY"))
        .send()
        .await
        .unwrap();
    let listed: Vec<_> = listed.items().iter().map(|item| item["pk"].as_s().unwrap().as_str()).collect();
    assert_eq!(listed, ["a", "b"]);

    let records = aws.engine().records(TABLE, None, 10).unwrap().len();
    aws.engine().import(TABLE, [item("c", "3")], true).await.unwrap();
    assert_eq!((records, aws.engine().records(TABLE, None, 10).unwrap().len()), (1, 2));
    let keyless = aws.engine().import(TABLE, [item("d", "4"), json!({"sk": {"S": "#"}})], false).await;
    assert!(keyless.is_err());
    assert_eq!(count(&client, "d").await, None, "all or none");
}

#[tokio::test]
async fn a_failed_condition_returns_the_stored_item() {
    let aws = memory().await;
    let client = dynamodb(&aws);
    put(&client, "a", 7).await;
    let refused = add_one(&client, "a")
        .condition_expression("#count = :eight")
        .expression_attribute_values(":eight", n(8))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(refused.is_conditional_check_failed_exception());
    let aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(failed) =
        refused
    else {
        panic!("expected a failed condition")
    };
    assert_eq!(failed.item().unwrap()["count"], n(7));
    assert_eq!(count(&client, "a").await, Some(n(7)));
}

#[tokio::test]
async fn a_transaction_is_atomic_and_reports_which_condition_failed() {
    let aws = memory().await;
    let client = dynamodb(&aws);
    put(&client, "a", 7).await;
    let check = ConditionCheck::builder()
        .table_name(TABLE)
        .key("pk", s("a"))
        .key("sk", s("#"))
        .condition_expression("#count = :eight")
        .expression_attribute_names("#count", "count")
        .expression_attribute_values(":eight", n(8))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .unwrap();
    let write = Put::builder().table_name(TABLE).item("pk", s("b")).item("sk", s("#")).build().unwrap();
    let refused = client
        .transact_write_items()
        .transact_items(TransactWriteItem::builder().put(write).build())
        .transact_items(TransactWriteItem::builder().condition_check(check).build())
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
        cancelled,
    ) = refused
    else {
        panic!("expected a cancelled transaction")
    };
    let codes: Vec<_> = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    assert_eq!(cancelled.cancellation_reasons()[1].item().unwrap()["count"], n(7));
    let written =
        client.get_item().table_name(TABLE).key("pk", s("b")).key("sk", s("#")).send().await.unwrap();
    assert!(written.item.is_none());
}

#[tokio::test]
async fn commits_to_a_file_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let open = async || {
        let engine = Engine::open(&dir.path().join("tables.sqlite"), clock().1).unwrap();
        let changes = engine.create_tables(&[definition()]).await.unwrap();
        (LocalAws::new(engine, Secrets::memory()), changes)
    };
    let (aws, changes) = open().await;
    assert_eq!(changes[0].steps, ["created", "time to live by ttl"]);
    put(&dynamodb(&aws), "a", 5).await;
    drop(aws);
    let (aws, changes) = open().await;
    assert!(changes[0].steps.is_empty(), "{changes:?}");
    assert_eq!(count(&dynamodb(&aws), "a").await, Some(n(5)));
}

#[tokio::test]
async fn an_index_that_is_no_longer_declared_is_removed_and_a_new_one_contains_the_old_items() {
    let aws = memory().await;
    let client = dynamodb(&aws);
    put(&client, "a", 5).await;
    let mut changed = definition();
    changed.create["GlobalSecondaryIndexes"][0]["IndexName"] = json!("waiting");
    changed.create["StreamSpecification"]["StreamViewType"] = json!("KEYS_ONLY");
    changed.ttl_attribute = None;
    let changes = aws.engine().create_tables(&[changed.clone()]).await.unwrap();
    assert_eq!(
        changes[0].steps,
        ["removed index ready", "made index waiting", "stream of KEYS_ONLY", "no time to live"]
    );
    let on = async |index: &str| {
        client
            .query()
            .table_name(TABLE)
            .index_name(index)
            .key_condition_expression("rp = :rp")
            .expression_attribute_values(":rp", s("READY"))
            .send()
            .await
    };
    let refused = on("ready").await.unwrap_err();
    assert_eq!(refused.code(), Some("ValidationException"));
    assert_eq!(on("waiting").await.unwrap().count(), 1);
    assert!(aws.engine().create_tables(&[changed]).await.unwrap()[0].steps.is_empty());
}

#[tokio::test]
async fn an_index_with_changed_keys_is_recreated() {
    let aws = memory().await;
    put(&dynamodb(&aws), "a", 5).await;
    let mut changed = definition();
    changed.create["AttributeDefinitions"][3] = json!({"AttributeName": "count", "AttributeType": "N"});
    changed.create["GlobalSecondaryIndexes"][0]["KeySchema"][1]["AttributeName"] = json!("count");
    let changes = aws.engine().create_tables(&[changed]).await.unwrap();
    assert_eq!(changes[0].steps, ["removed index ready", "made index ready"]);
    let found = dynamodb(&aws)
        .query()
        .table_name(TABLE)
        .index_name("ready")
        .key_condition_expression("rp = :rp AND #count = :five")
        .expression_attribute_names("#count", "count")
        .expression_attribute_values(":rp", s("READY"))
        .expression_attribute_values(":five", n(5))
        .send()
        .await
        .unwrap();
    assert_eq!(found.count(), 1);
}

#[tokio::test]
async fn a_table_whose_keys_changed_is_refused_and_keeps_its_items() {
    let aws = memory().await;
    put(&dynamodb(&aws), "a", 5).await;
    let mut changed = definition();
    changed.create["KeySchema"][1]["AttributeName"] = json!("rk");
    let refused = aws.engine().create_tables(&[changed]).await.unwrap_err();
    assert!(refused.to_string().contains("keys"), "{refused}");
    assert_eq!(count(&dynamodb(&aws), "a").await, Some(n(5)));
}

#[tokio::test]
async fn expired_items_are_deleted_by_the_virtual_clock_and_leave_a_record_of_the_service() {
    let (clock, shared) = clock();
    let engine = Engine::memory(shared).unwrap();
    engine.create_tables(&[definition()]).await.unwrap();
    let client = dynamodb(&LocalAws::new(engine.clone(), Secrets::memory()));
    let ttl = i64::try_from(START.as_secs()).unwrap() + 60;
    for pk in ["mortal", "immortal"] {
        let item =
            client.put_item().table_name(TABLE).item("pk", s(pk)).item("sk", s("#")).item("count", n(1));
        let item = if pk == "mortal" { item.item("ttl", n(ttl)) } else { item };
        item.send().await.unwrap();
    }
    assert_eq!(engine.sweep_ttl().await.unwrap(), 0);
    clock.advance(Millis::from_secs(61));
    assert_eq!(engine.sweep_ttl().await.unwrap(), 1);
    assert_eq!(count(&client, "mortal").await, None);
    assert_eq!(count(&client, "immortal").await, Some(n(1)));
    let records = engine.records(TABLE, None, 10).unwrap();
    let last = records.last().unwrap();
    assert_eq!(last["eventName"], "REMOVE");
    assert_eq!(last["userIdentity"]["principalId"], "dynamodb.amazonaws.com");
}

#[tokio::test]
async fn one_of_many_concurrent_claims_of_an_item_succeeds() {
    let aws = memory().await;
    let client = dynamodb(&aws);
    let claims = (0..32).map(|_| async {
        let seen = count(&client, "a").await;
        let won = add_one(&client, "a").condition_expression("attribute_not_exists(pk)").send().await.is_ok();
        (seen, won)
    });
    let outcomes = futures::future::join_all(claims).await;
    assert_eq!(outcomes.iter().filter(|(_, won)| *won).count(), 1);
    let saw_nothing = outcomes.iter().filter(|(seen, _)| seen.is_none()).count();
    assert!(saw_nothing > 1, "the claims interleaved");
}
