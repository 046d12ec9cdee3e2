//! The work of effects that time makes due: outboxes and managed bots share one partition of the ready index, so that the
//! schedule finds both with one query.

use af_domain::ids::BotIdentity;
use af_domain::outbox::Chat;
use af_domain::time::Timestamp;

use crate::item::{Item, Reader};
use crate::managed_bot::managed_bot_at;
use crate::outbox::chat_of;
use crate::write::queried;
use crate::{Result, Store, keys};

/// The work of effects that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueWork {
    /// The chats whose outboxes a sender should look after.
    pub chats: Vec<Chat>,
    /// The bots that are to be connected, or whose tokens are to be fetched again.
    pub managed_bots: Vec<BotIdentity>,
}

impl Store {
    /// Returns the outboxes and the managed bots that are due at `now`, the longest due first. The read is eventually
    /// consistent.
    pub async fn due_work(&self, now: Timestamp, limit: i32) -> Result<DueWork> {
        let until = keys::outbox_due(now);
        let values = [(":rp", keys::OUTBOXES.into()), (":until", until.into())];
        let query = self.query("#rp = :rp AND #rk <= :until", values).index_name(keys::READY_INDEX);
        let found = queried(query.limit(limit)).await?;
        let bot_of = |item: &Item| managed_bot_at(Reader::of(item).text("pk").ok()?);
        Ok(DueWork {
            chats: found.items().iter().filter_map(chat_of).collect(),
            managed_bots: found.items().iter().filter_map(bot_of).collect(),
        })
    }
}
