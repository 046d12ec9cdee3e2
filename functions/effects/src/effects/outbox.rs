//! Sends the replies and notices that were put into outboxes and not sent at once.

use af_app::AppError;
use af_app::files::sweep::Expired;
use af_app::outbox::{deliver_changed, deliver_chats, due_work};
use af_app::queue::counters::StreamRecord;
use af_app::telegram::managed_bots::connect_due;

use crate::effect::Context;

/// Sends what a batch has put into outboxes.
pub async fn changed(context: &Context, records: &[StreamRecord]) -> Result<Expired, AppError> {
    deliver_changed(&context.app, records).await;
    Ok(Expired::default())
}

/// Sends what had to wait and is due, and connects the managed bots that are due: one query finds both.
pub async fn due(context: &Context, _: &[StreamRecord]) -> Result<Expired, AppError> {
    let due = due_work(&context.app).await?;
    tokio::join!(deliver_chats(&context.app, due.chats), connect_due(&context.app, due.managed_bots));
    Ok(Expired::default())
}
