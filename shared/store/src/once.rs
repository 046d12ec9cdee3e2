//! Calls with an idempotency key that make something: what each has made, for a day.

use af_domain::time::{Millis, Timestamp};

use crate::item::{Item, Reader, Writer};
use crate::{Store, StoreError, keys};

/// How long a call is remembered.
const REMEMBERED: Millis = Millis::from_days(1);

/// A call that may be sent again and shall have one effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// Hash of its caller and its idempotency key.
    pub call: String,
    /// Hash of what it asks for.
    pub body: String,
    /// When it came.
    pub at: Timestamp,
}

/// A call that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Hash of what it asked for.
    pub body: String,
    /// The id of what it made.
    pub id: String,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// What the call of this hash has made, strongly consistent; `None` when it has not come, or was forgotten.
    ///
    /// # Errors
    /// When the table cannot answer, or the item is malformed.
    pub async fn made_by(&self, call: &str, now: Timestamp) -> Result<Option<Made>, StoreError> {
        let Some(item) = self.get(keys::call(call), true).await? else { return Ok(None) };
        let reader = Reader::of(&item);
        if reader.is_expired(now)? {
            return Ok(None);
        }
        let (body, id) = (reader.text("bh")?.to_owned(), reader.text("id")?.to_owned());
        Ok(Some(Made { body, id, at: reader.time("at")? }))
    }
}

/// The item that says that this call has made `id`.
pub(crate) fn call_item(once: &Once, id: &str) -> Item {
    let key = keys::call(&once.call);
    Writer::default()
        .put("pk", key.pk)
        .put("sk", key.sk)
        .put("bh", once.body.as_str())
        .put("id", id)
        .put("at", once.at)
        .put("ttl", (once.at + REMEMBERED).as_ttl())
        .build()
}
