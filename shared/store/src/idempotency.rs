//! Idempotency records: what each call with an idempotency key created or answered. A record is kept for one day.
//!
//! A call whose effect is one transaction adds its record to that transaction. Any other call begins its record, carries out
//! its effect, and finishes the record with its answer. Until then, a repetition is refused.

use af_domain::time::{Millis, Timestamp};

use crate::expression::Update;
use crate::item::{Item, Reader, Writer};
use crate::write::{Commit, Transaction};
use crate::{Result, Store, keys};

/// How long a record is kept.
pub const RETENTION: Millis = Millis::from_days(1);
/// How long a call that has begun keeps out its repetitions. API Gateway ends a call after 30 s.
const MAX_RUN: Millis = Millis::from_secs(60);

/// A call that may be repeated but must have its effect only once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentCall {
    /// The hash of the caller and the idempotency key.
    pub call: String,
    /// The hash of the request body.
    pub body: String,
    /// When the call was received.
    pub at: Timestamp,
}

/// The record of a call that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The hash of the request body.
    pub body: String,
    /// The id of the created resource. In the record of a call that was begun: the id of its run.
    pub id: String,
    /// The answer as JSON, if the record was begun and finished.
    pub answer: Option<String>,
    /// When the call was carried out.
    pub at: Timestamp,
}

impl Store {
    /// Returns the record of the call with this hash, strongly consistent; `None` if the call was not carried
    /// out or its record has expired.
    pub async fn idempotency_record(&self, call: &str, now: Timestamp) -> Result<Option<IdempotencyRecord>> {
        let Some(item) = self.get(keys::call(call), true).await? else { return Ok(None) };
        let reader = Reader::of(&item);
        if reader.is_expired(now)? {
            return Ok(None);
        }
        let (body, id) = (reader.text("bh")?.to_owned(), reader.text("id")?.to_owned());
        let answer = reader.text_if("an")?.map(str::to_owned);
        Ok(Some(IdempotencyRecord { body, id, answer, at: reader.time("at")? }))
    }

    /// Records that the call made `id`, without another write. It is stale if the call was carried out before.
    pub async fn record_call_if_new(&self, once: &IdempotentCall, id: &str) -> Result<Commit> {
        self.commit_or_stale(self.transaction().record_call(Some(once), id)).await
    }

    /// Begins the call: its repetitions are refused until it is finished or abandoned, or for a minute. It is stale if the
    /// call was begun or carried out before.
    pub async fn begin_call_if_new(&self, once: &IdempotentCall, run: &str) -> Result<Commit> {
        let begun = record(once, run).put("ttl", (once.at + MAX_RUN).as_ttl()).build();
        self.commit_or_stale(self.transaction().put_new_at(begun, once.at)).await
    }

    /// Finishes the call that `run` has begun, with its answer as JSON. It is stale if another run has begun it since.
    pub async fn finish_call_if_begun(
        &self,
        once: &IdempotentCall,
        run: &str,
        answer: &str,
    ) -> Result<Commit> {
        let finished = record(once, run).put("an", answer).put("ttl", (once.at + RETENTION).as_ttl());
        let of_run = Update::of(keys::call(&once.call)).when_is("id", run);
        self.commit_or_stale(self.transaction().put_when(finished.build(), &of_run)).await
    }

    /// Deletes the record of the call that `run` has begun and that had no effect. It is stale if the call is finished, or
    /// another run has begun it since.
    pub async fn abandon_call_if_begun(&self, once: &IdempotentCall, run: &str) -> Result<Commit> {
        let of_run = Update::of(keys::call(&once.call)).when_is("id", run).when("attribute_not_exists(#an)");
        self.commit_or_stale(self.transaction().delete_when(&of_run)).await
    }
}

impl Transaction {
    /// Records that the call, if there is one, created `id`. It must not have been carried out before.
    pub fn record_call(self, once: Option<&IdempotentCall>, id: &str) -> Self {
        match once {
            Some(once) => self.put_new_at(idempotency_item(once, id), once.at),
            None => self,
        }
    }
}

/// Builds the item that records that the call created `id`.
fn idempotency_item(once: &IdempotentCall, id: &str) -> Item {
    record(once, id).put("ttl", (once.at + RETENTION).as_ttl()).build()
}

fn record(once: &IdempotentCall, id: &str) -> Writer {
    Writer::at(keys::call(&once.call)).put("bh", once.body.as_str()).put("id", id).put("at", once.at)
}
