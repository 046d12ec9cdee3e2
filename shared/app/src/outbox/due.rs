//! Outboxes that a sender should look after: those of a stream batch, and those whose time has come. The managed bots whose
//! time has come are found with them.

use std::collections::BTreeSet;
use std::time::Duration;

use af_domain::outbox::Chat;
use af_store::due_work::DueWork;
use af_store::outbox::due_outbox;
use futures::StreamExt;
use tokio::time::Instant;

use super::deliver::deliver;
use crate::queue::counters::StreamRecord;
use crate::{App, Result};

/// Most chats that are served at the same time.
const MAX_AT_ONCE: usize = 16;
/// How long a batch of the stream may begin to send. What remains is due at the next scheduled run.
const STREAM_BUDGET: Duration = Duration::from_secs(15);
/// How long a scheduled run may begin to send. Its function must not end before the last call to Telegram does, because a
/// part whose sender was cut off is uncertain.
pub const SCHEDULE_SENDS_FOR: Duration = Duration::from_secs(45);
/// How long one of these may begin to send to one chat.
const CHAT_BUDGET: Duration = Duration::from_secs(15);
/// Most chats and managed bots of one scheduled run.
const MAX_DUE: i32 = 500;

/// Sends what a batch of the stream has put into outboxes. A failure of one chat does not affect the others, and fails no
/// batch: the schedule sends what remains.
pub async fn deliver_changed(app: &App, records: &[StreamRecord]) {
    let now = app.now();
    let chats: BTreeSet<Chat> =
        records.iter().filter_map(|record| due_outbox(record.dynamodb.new_image.as_ref(), now)).collect();
    deliver_all(app, chats.into_iter().collect(), STREAM_BUDGET).await;
}

/// Sends what waits in outboxes and is due by now.
pub async fn deliver_due(app: &App) -> Result<()> {
    deliver_chats(app, due_work(app).await?.chats).await;
    Ok(())
}

/// Returns what is due by now: the chats whose outboxes wait, and the managed bots that are to be connected.
pub async fn due_work(app: &App) -> Result<DueWork> {
    Ok(app.store.due_work(app.now(), MAX_DUE).await?)
}

/// Sends what waits in the outboxes of these chats, as a scheduled run.
pub async fn deliver_chats(app: &App, chats: Vec<Chat>) {
    deliver_all(app, chats, SCHEDULE_SENDS_FOR).await;
}

async fn deliver_all(app: &App, chats: Vec<Chat>, budget: Duration) {
    let began = Instant::now();
    let each = |chat: Chat| async move {
        let left = budget.saturating_sub(began.elapsed());
        if left.is_zero() {
            return;
        }
        let budget = left.min(CHAT_BUDGET);
        if let Err(error) = deliver(app, &chat, budget).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, %chat, "messages of a chat were not delivered; the schedule tries again");
        }
    };
    futures::stream::iter(chats).for_each_concurrent(MAX_AT_ONCE, each).await;
}
