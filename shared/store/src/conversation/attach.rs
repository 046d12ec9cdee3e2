//! Metadata that a worker attaches to its message while the message runs.

use std::collections::BTreeMap;

use af_domain::ids::MessageId;

use super::lease_ref::LeaseRef;
use crate::expression::Update;
use crate::item::Reader;
use crate::write::Committed;
use crate::{Result, Store, keys};

/// The result of attaching metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attach {
    /// The metadata is stored, by this call or an earlier attempt of it.
    Done,
    /// The lease is not in force; nothing was written.
    LeaseLost,
    /// Other metadata was attached since it was read; nothing was written.
    Stale,
}

impl Store {
    /// Returns the metadata attached to a message, strongly consistent; `None` if the message does not exist.
    pub async fn attached(&self, message: &MessageId) -> Result<Option<BTreeMap<String, String>>> {
        let item = self.get(keys::message(message), true).await?;
        item.map(|item| Reader::of(&item).text_map("wm")).transpose()
    }

    /// Replaces the metadata attached to the message of a lease, in one transaction on the message and its
    /// conversation.
    pub async fn attach_if_leased(
        &self,
        held: &LeaseRef<'_>,
        message: &MessageId,
        before: &BTreeMap<String, String>,
        after: &BTreeMap<String, String>,
    ) -> Result<Attach> {
        let lease = held.update();
        let update = Update::of(keys::message(message))
            .set("wm", after)
            .when("attribute_exists(#pk)")
            .when("attribute_not_exists(#wm) OR #wm = :before")
            .bind(":before", before);
        match self.commit(self.transaction().require(&lease).update(update)).await? {
            Committed::Done => Ok(Attach::Done),
            Committed::Refused(failed) if failed.iter().any(|r| r.index == 0) => Ok(Attach::LeaseLost),
            Committed::Refused(_) => Ok(Attach::Stale),
        }
    }
}
