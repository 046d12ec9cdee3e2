//! Effects: work that follows a commit, from the table's stream, and work that time makes due, from a schedule.

mod effect;
mod effects;

use af_app::queue::counters::StreamRecord;
use af_app::{App, AppError, Boot, BootError};
use serde_json::{Value, json};

use effect::{Context, run_all};
use effects::{AFTER_THE_STREAM, OF_THE_OUTBOX_SCHEDULE, OF_THE_STREAM, OF_THE_SWEEP};

/// The name of a schedule's event at EventBridge.
const SCHEDULED: &str = "Scheduled Event";
/// The input of the schedule that looks after the outboxes, as the template sets it.
const OUTBOX_SCHEDULE: &str = "outbox";

/// The function.
pub struct Effects(Context);

/// Builds the function.
///
/// # Errors
/// `BootError` that names what the environment lacks.
#[allow(clippy::unused_async, reason = "every function is built the same way")]
pub async fn build(boot: &Boot) -> Result<Effects, BootError> {
    Ok(Effects(Context { app: App::from_boot(boot)?, objects: boot.objects()? }))
}

impl Effects {
    /// Handles a batch of stream records, or the event of a schedule.
    ///
    /// # Errors
    /// When the event is none of them, or an effect fails; the batch comes again.
    pub async fn handle(&self, mut event: Value) -> Result<Value, AppError> {
        let Self(context) = self;
        if event["detail-type"] == SCHEDULED {
            let expired = run_all(&OF_THE_SWEEP, context, &[]).await?;
            return Ok(json!({"gone": expired.gone, "failed": expired.failed}));
        }
        if event["schedule"] == OUTBOX_SCHEDULE {
            run_all(&OF_THE_OUTBOX_SCHEDULE, context, &[]).await?;
            return Ok(json!({}));
        }
        let unreadable = |source| AppError::Unreadable { what: "stream event", source };
        let records: Vec<Value> = serde_json::from_value(event["Records"].take()).map_err(unreadable)?;
        let records: Vec<StreamRecord> = records.into_iter().filter_map(readable).collect();
        run_all(&OF_THE_STREAM, context, &records).await?;
        run_all(&AFTER_THE_STREAM, context, &records).await?;
        Ok(json!({"counted": records.len()}))
    }
}

/// The record, when it can be read. An unreadable record is logged and skipped, so that it does not stop the effects of
/// the others.
fn readable(record: Value) -> Option<StreamRecord> {
    let sequence_number = record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default().to_owned();
    match serde_json::from_value(record) {
        Ok(record) => Some(record),
        Err(error) => {
            tracing::error!(%error, record = sequence_number, "a stream record cannot be read");
            None
        }
    }
}
