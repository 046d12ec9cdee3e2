//! Counters that follow the table's stream: how many messages wait, run or are dead letters.
//!
//! The counters lag behind the table as the stream does. A batch that is delivered twice within ten minutes
//! counts once: the client token of the transaction is made of the sequence numbers, and the written values
//! depend only on the records.

use std::collections::BTreeMap;

use af_domain::time::Timestamp;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::expression::Update;
use crate::item::{Reader, Value};
use crate::{Result, Store, StoreError, keys};

/// The counters, or a change of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that may run now.
    pub queued_ready: i64,
    /// Messages that wait for a time: scheduled messages and retries.
    pub queued_scheduled: i64,
    /// Messages that run.
    pub processing: i64,
    /// Dead letters.
    pub dead_letter: i64,
    /// The time of the latest counted change.
    pub as_of: Option<Timestamp>,
}

impl Counters {
    fn fields(&self) -> [(&'static str, i64); 4] {
        [
            ("qr", self.queued_ready),
            ("qs", self.queued_scheduled),
            ("pg", self.processing),
            ("dl", self.dead_letter),
        ]
    }

    /// Whether all values are zero.
    pub fn is_zero(&self) -> bool {
        self.fields().iter().all(|(_, n)| *n == 0)
    }

    /// Adds the values of `other`.
    pub fn add(&mut self, other: &Counters) {
        self.queued_ready += other.queued_ready;
        self.queued_scheduled += other.queued_scheduled;
        self.processing += other.processing;
        self.dead_letter += other.dead_letter;
        self.as_of = self.as_of.max(other.as_of);
    }
}

/// Returns the counter values of a conversation or dead-letter mark in a stream record.
pub fn counted(image: Option<&BTreeMap<String, serde_json::Value>>, at: Timestamp) -> Result<Counters> {
    let mut counters = Counters { as_of: Some(at), ..Counters::default() };
    let Some(image) = image else { return Ok(counters) };
    let text = |name: &str| image.get(name).and_then(|v| v.get("S")).and_then(|v| v.as_str());
    if text("pk").is_some_and(|pk| pk.starts_with("DL#")) {
        counters.dead_letter = 1;
        return Ok(counters);
    }
    counters.processing = i64::from(image.contains_key("ls"));
    let entries = image.get("pe").and_then(|v| v.get("L")).and_then(|v| v.as_array());
    for entry in entries.into_iter().flatten() {
        let entry = entry.get("S").and_then(|v| v.as_str()).and_then(crate::conversation::waits_for_a_time);
        match entry {
            Some(true) => counters.queued_scheduled += 1,
            Some(false) => counters.queued_ready += 1,
            None => return Err(StoreError::malformed(text("pk").unwrap_or("?"), "pe: not a pending entry")),
        }
    }
    Ok(counters)
}

impl Store {
    /// Returns the current counters.
    pub async fn counters(&self) -> Result<Counters> {
        let Some(item) = self.get(keys::counters(), false).await? else { return Ok(Counters::default()) };
        let number = |name: &str| item.get(name)?.as_n().ok()?.parse().ok();
        Ok(Counters {
            queued_ready: number("qr").unwrap_or_default(),
            queued_scheduled: number("qs").unwrap_or_default(),
            processing: number("pg").unwrap_or_default(),
            dead_letter: number("dl").unwrap_or_default(),
            as_of: Reader::of(&item).time_if("as")?,
        })
    }

    /// Adds `change`, once per `token` (at most 36 characters) within ten minutes. The same token must always
    /// have the same change.
    pub async fn count(&self, change: &Counters, token: String) -> Result<()> {
        let mut update = Update::of(keys::counters()).bind(":zero", 0_u64).set_or_remove("as", change.as_of);
        for (name, delta) in change.fields() {
            let placeholder = format!(":{name}");
            let value = Value(AttributeValue::N(delta.to_string()));
            update = update
                .set_to(name, &format!("if_not_exists(#{name}, :zero) + {placeholder}"))
                .bind(&placeholder, value);
        }
        self.commit(self.transaction().update(update).token(token)).await.map(drop)
    }
}
