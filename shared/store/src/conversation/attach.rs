//! Metadata that a worker attaches to its message while it runs.

use std::collections::BTreeMap;

use af_domain::ids::MessageId;

use super::LeaseRef;
use crate::expression::Update;
use crate::item::Reader;
use crate::write::Committed;
use crate::{Store, StoreError, keys};

/// What became of an attachment of metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attach {
    /// It is there, by this call or an earlier sending of it.
    Done,
    /// The lease is not in force; nothing was written.
    NotHeld,
    /// Other metadata was attached since it was read; nothing was written.
    Stale,
}

impl Store {
    /// What has been attached to a message so far, strongly consistent; `None` when there is no such message.
    ///
    /// # Errors
    /// When the table cannot answer, or the item is malformed.
    pub async fn attached(
        &self,
        message: &MessageId,
    ) -> Result<Option<BTreeMap<String, String>>, StoreError> {
        let item = self.get(keys::message(message), true).await?;
        item.map(|item| Reader::of(&item).text_map("wm")).transpose()
    }

    /// Replaces what was attached to the message of a lease: one transaction over the message and its conversation.
    ///
    /// # Errors
    /// When the table cannot answer; read again and merge again.
    pub async fn attach_if_leased(
        &self,
        leased: &LeaseRef<'_>,
        message: &MessageId,
        before: &BTreeMap<String, String>,
        after: &BTreeMap<String, String>,
    ) -> Result<Attach, StoreError> {
        let lease = leased.require(Update::of(keys::conversation(&leased.lease.parts().conversation)));
        let update = Update::of(keys::message(message))
            .set("wm", after)
            .when("attribute_exists(#pk)")
            .when("attribute_not_exists(#wm) OR #wm = :before")
            .bind(":before", before);
        match self.commit(self.transaction().require(&lease).update(update)).await? {
            Committed::Done => Ok(Attach::Done),
            Committed::Refused(refusals) if refusals.iter().any(|r| r.index == 0) => Ok(Attach::NotHeld),
            Committed::Refused(_) => Ok(Attach::Stale),
        }
    }
}
