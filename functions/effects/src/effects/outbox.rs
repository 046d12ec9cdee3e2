//! Sends the replies and notices that were put into outboxes and not sent at once.

use af_app::AppError;
use af_app::files::sweep::Expired;
use af_app::outbox::{deliver_changed, deliver_due};
use af_app::queue::counters::StreamRecord;

use crate::effect::Context;

/// Sends what a batch has put into outboxes.
pub async fn changed(context: &Context, records: &[StreamRecord]) -> Result<Expired, AppError> {
    deliver_changed(&context.app, records).await;
    Ok(Expired::default())
}

/// Sends what had to wait and is due.
pub async fn due(context: &Context, _: &[StreamRecord]) -> Result<Expired, AppError> {
    deliver_due(&context.app).await?;
    Ok(Expired::default())
}
