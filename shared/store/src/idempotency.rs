//! Idempotency records: what each call with an idempotency key created. A record is kept for one day.

use af_domain::time::{Millis, Timestamp};

use crate::item::{Item, Reader, Writer};
use crate::write::Transaction;
use crate::{Result, Store, keys};

/// How long a record is kept.
const RETENTION: Millis = Millis::from_days(1);

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
    /// The id of the created resource.
    pub id: String,
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
        Ok(Some(IdempotencyRecord { body, id, at: reader.time("at")? }))
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
    Writer::at(keys::call(&once.call))
        .put("bh", once.body.as_str())
        .put("id", id)
        .put("at", once.at)
        .put("ttl", (once.at + RETENTION).as_ttl())
        .build()
}
