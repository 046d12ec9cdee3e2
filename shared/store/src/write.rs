//! Sending reads and writes. This is the only place that handles retries, conflicts and failed conditions.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Delete, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem,
};

use af_domain::time::Timestamp;

use crate::expression::{Update, names_in};
use crate::item::{Item, Reader, Value};
use crate::keys::{Key, MESSAGES_INDEX};
use crate::{Page, Result, Store, StoreError};

/// How often a write is sent when it conflicts with other transactions. Each wait is about twice as long as
/// the previous one, so five attempts outlast any burst of writes to one conversation.
const MAX_CONFLICT_TRIES: u32 = 5;
/// Wait after the first conflict. A transaction locks its items for about this long.
const CONFLICT_WAIT: Duration = Duration::from_millis(10);

/// The condition that an item does not exist, or has expired and was not deleted yet.
const ABSENT: &str = "attribute_not_exists(#pk) OR #ttl <= :now";

/// The result of a conditional update.
#[derive(Debug)]
pub(crate) enum Updated {
    /// The update was carried out. The value is the new item.
    Done(Item),
    /// The condition did not hold. The value is the current item, if there is one.
    Refused(Option<Item>),
}

/// The result of a transaction.
#[derive(Debug)]
pub(crate) enum Committed {
    /// All writes were carried out.
    Done,
    /// No write was carried out, because these conditions did not hold.
    Refused(Vec<FailedCondition>),
}

/// A condition of a transaction that did not hold.
#[derive(Debug)]
pub(crate) struct FailedCondition {
    /// The index of the write in the transaction.
    pub index: usize,
    /// The current item, if there is one.
    pub old: Option<Item>,
}

impl Committed {
    /// Returns the failed condition of write number `index`, if there is one.
    pub fn failed_condition(&self, index: usize) -> Option<&FailedCondition> {
        match self {
            Committed::Done => None,
            Committed::Refused(failed) => failed.iter().find(|r| r.index == index),
        }
    }

    /// Returns the current item of write number `index`, if its condition failed and the item exists.
    pub fn old_item(&self, index: usize) -> Option<&Item> {
        self.failed_condition(index)?.old.as_ref()
    }

    pub const fn is_done(&self) -> bool {
        matches!(self, Committed::Done)
    }
}

/// The result of a write that was decided on a version read before.
#[derive(Debug)]
pub enum Commit {
    /// The write was carried out.
    Done,
    /// Another writer was faster. Nothing was written.
    Stale,
}

/// Writes that are carried out together or not at all.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    table: String,
    writes: Vec<TransactWriteItem>,
    token: Option<String>,
}

impl Transaction {
    /// Puts an item that must not exist.
    pub fn put_new(self, item: Item) -> Self {
        self.put_if(item, Some("attribute_not_exists(#pk)"), None)
    }

    /// Puts an item that must not exist. An expired item does not count as existing.
    pub fn put_new_at(self, item: Item, now: Timestamp) -> Self {
        let now = Item::from([(":now".to_owned(), Value::from(now.as_secs()).0)]);
        self.put_if(item, Some(ABSENT), Some(now))
    }

    /// Puts an item on the conditions of `condition`, which has the key of the item.
    pub fn put_when(self, item: Item, condition: &Update) -> Self {
        self.put_if(item, condition.condition().as_deref(), condition.values())
    }

    /// Puts an item unconditionally.
    pub fn put(self, item: Item) -> Self {
        self.put_if(item, None, None)
    }

    fn put_if(mut self, item: Item, condition: Option<&str>, values: Option<Item>) -> Self {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .set_condition_expression(condition.map(str::to_owned))
            .set_expression_attribute_names(condition.map(names_in))
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .expect("table and item are set");
        self.writes.push(TransactWriteItem::builder().put(put).build());
        self
    }

    pub fn update(mut self, update: Update) -> Self {
        let update = update.into_transact(&self.table);
        self.writes.push(TransactWriteItem::builder().update(update).build());
        self
    }

    pub fn delete(mut self, key: &Key) -> Self {
        let delete = Delete::builder().table_name(&self.table).set_key(Some(key.attributes())).build();
        self.writes.push(TransactWriteItem::builder().delete(delete.expect("table and key are set")).build());
        self
    }

    /// Deletes an item, on condition that its attribute `name` is the text `value`.
    pub fn delete_when_is(self, key: &Key, name: &str, value: &str) -> Self {
        self.delete_when(&Update::of(key.clone()).when_is(name, value))
    }

    /// Deletes the item of `condition`, on the conditions of `condition`.
    pub fn delete_when(mut self, condition: &Update) -> Self {
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(condition.key.attributes()))
            .set_condition_expression(condition.condition())
            .set_expression_attribute_names(Some(condition.names()))
            .set_expression_attribute_values(condition.values())
            .build();
        self.writes.push(TransactWriteItem::builder().delete(delete.expect("table and key are set")).build());
        self
    }

    /// Requires that an item does not exist. An expired item does not count as existing.
    pub fn check_absent(self, key: Key, now: Timestamp) -> Self {
        self.require(&Update::of(key).when(ABSENT).bind(":now", now.as_secs()))
    }

    /// Requires the conditions of `update` without writing anything.
    pub fn require(mut self, update: &Update) -> Self {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .set_key(Some(update.key.attributes()))
            .set_condition_expression(update.condition())
            .set_expression_attribute_names(Some(update.names()))
            .set_expression_attribute_values(update.values())
            .build();
        self.writes.push(TransactWriteItem::builder().condition_check(check.expect("all is set")).build());
        self
    }

    /// The number of writes.
    pub const fn len(&self) -> usize {
        self.writes.len()
    }

    /// Sets the client token. A repetition with the same token within ten minutes has no effect.
    pub fn token(mut self, token: String) -> Self {
        self.token = Some(token);
        self
    }
}

impl Store {
    pub(crate) fn transaction(&self) -> Transaction {
        Transaction { table: self.table.clone(), writes: Vec::new(), token: None }
    }

    pub(crate) async fn get(&self, key: Key, consistent: bool) -> Result<Option<Item>> {
        let sent = self.client.get_item().table_name(&self.table).set_key(Some(key.attributes()));
        let answer = sent.consistent_read(consistent).send().await;
        answer.map(|a| a.item).map_err(|e| StoreError::from_sdk("GetItem", &e))
    }

    pub(crate) async fn put(&self, item: Item) -> Result<()> {
        let sent = self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await;
        sent.map(drop).map_err(|e| StoreError::from_sdk("PutItem", &e))
    }

    pub(crate) async fn delete(&self, key: &Key) -> Result<()> {
        let sent =
            self.client.delete_item().table_name(&self.table).set_key(Some(key.attributes())).send().await;
        sent.map(drop).map_err(|e| StoreError::from_sdk("DeleteItem", &e))
    }

    /// Returns a query of the items that satisfy a key condition, with the values of its placeholders.
    pub(crate) fn query<const N: usize>(
        &self,
        key_condition: &str,
        values: [(&str, Value); N],
    ) -> QueryFluentBuilder {
        let values = values.into_iter().map(|(placeholder, value)| (placeholder.to_owned(), value.0));
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression(key_condition)
            .set_expression_attribute_names(Some(names_in(key_condition)))
            .set_expression_attribute_values(Some(values.collect()))
    }

    /// Returns one page of a partition of the index of messages, the last item first, starting before the sort key `before`.
    /// `next` is the sort key of the last item of the page.
    pub(crate) async fn listed_before(
        &self,
        partition: String,
        before: Option<&str>,
        limit: i32,
    ) -> Result<Page<Item, String>> {
        let values = [(":lp", partition.into()), (":before", before.unwrap_or("~").into())];
        let query = self.query("#lp = :lp AND #lk < :before", values).index_name(MESSAGES_INDEX);
        let answer = queried(query.scan_index_forward(false).limit(limit)).await?;
        let items = answer.items.unwrap_or_default();
        let last = items.last().filter(|_| answer.last_evaluated_key.is_some());
        let next = last.map(|item| Reader::of(item).text("lk").map(str::to_owned)).transpose()?;
        Ok(Page { items, next })
    }

    /// Sends one conditional update.
    pub(crate) async fn update(&self, update: Update) -> Result<Updated> {
        for attempt in 0..MAX_CONFLICT_TRIES {
            let sent = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(update.key.attributes()))
                .update_expression(update.expression())
                .set_condition_expression(update.condition())
                .set_expression_attribute_names(Some(update.names()))
                .set_expression_attribute_values(update.values())
                .return_values(ReturnValue::AllNew)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .send()
                .await;
            match sent {
                Ok(answer) => return Ok(Updated::Done(answer.attributes.unwrap_or_default())),
                Err(SdkError::ServiceError(e)) => match e.into_err() {
                    UpdateItemError::ConditionalCheckFailedException(refused) => {
                        return Ok(Updated::Refused(refused.item));
                    }
                    UpdateItemError::TransactionConflictException(_) => self.back_off(attempt).await,
                    other => return Err(StoreError::from_service("UpdateItem", other)),
                },
                Err(e) => return Err(StoreError::from_sdk("UpdateItem", &e)),
            }
        }
        Err(StoreError::Contention("UpdateItem"))
    }

    /// Sends one conditional update. If its condition does not hold, another writer was faster.
    pub(crate) async fn update_or_stale(&self, update: Update) -> Result<Commit> {
        Ok(match self.update(update).await? {
            Updated::Done(_) => Commit::Done,
            Updated::Refused(_) => Commit::Stale,
        })
    }

    /// Sends a transaction. If one of its conditions does not hold, another writer was faster.
    pub(crate) async fn commit_or_stale(&self, transaction: Transaction) -> Result<Commit> {
        Ok(if self.commit(transaction).await?.is_done() { Commit::Done } else { Commit::Stale })
    }

    /// Sends a transaction.
    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<Committed> {
        const OPERATION: &str = "TransactWriteItems";
        for attempt in 0..MAX_CONFLICT_TRIES {
            let sent = self
                .client
                .transact_write_items()
                .set_transact_items(Some(transaction.writes.clone()))
                .set_client_request_token(transaction.token.clone())
                .send()
                .await;
            let refused = match sent {
                Ok(_) => return Ok(Committed::Done),
                Err(SdkError::ServiceError(e)) => match e.into_err() {
                    TransactWriteItemsError::TransactionCanceledException(refused) => refused,
                    other => return Err(StoreError::from_service(OPERATION, other)),
                },
                Err(e) => return Err(StoreError::from_sdk(OPERATION, &e)),
            };
            let reasons = refused.cancellation_reasons.unwrap_or_default();
            let failed = failed_conditions(&reasons);
            if !failed.is_empty() {
                return Ok(Committed::Refused(failed));
            }
            // The SDK does not retry a cancelled transaction, so the causes are handled here.
            match reasons.iter().filter_map(|r| r.code.as_deref()).find(|c| *c != "None") {
                Some("TransactionConflict") => self.back_off(attempt).await,
                Some("ThrottlingError" | "ProvisionedThroughputExceeded") => {
                    if attempt + 1 == MAX_CONFLICT_TRIES {
                        return Err(StoreError::Throttled(OPERATION));
                    }
                    self.back_off(attempt).await;
                }
                code => {
                    let message = format!("cancelled: {}", code.unwrap_or("without a reason"));
                    return Err(StoreError::Unavailable { operation: OPERATION, message });
                }
            }
        }
        Err(StoreError::Contention(OPERATION))
    }

    /// Waits before a conflicting write is sent again, with exponential backoff and jitter.
    async fn back_off(&self, attempt: u32) {
        let wait = CONFLICT_WAIT * 2_u32.pow(attempt);
        tokio::time::sleep(wait.mul_f64(0.5 + (self.jitter)())).await;
    }
}

/// Sends a query.
pub(crate) async fn queried(query: QueryFluentBuilder) -> Result<QueryOutput> {
    query.send().await.map_err(|e| StoreError::from_sdk("Query", &e))
}

fn failed_conditions(reasons: &[CancellationReason]) -> Vec<FailedCondition> {
    let refused = |(index, reason): (usize, &CancellationReason)| {
        let failed = reason.code.as_deref() == Some("ConditionalCheckFailed");
        failed.then(|| FailedCondition { index, old: reason.item.clone().filter(|i: &Item| !i.is_empty()) })
    };
    reasons.iter().enumerate().filter_map(refused).collect()
}
