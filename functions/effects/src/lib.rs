//! Effects: what follows a commit, from the table's stream, and what time brings. Attachments are fetched; large payloads
//! expire with their messages; counters of what waits, runs and is dead; snapshots and files whose time is over.

use af_app::files::attachments;
use af_app::files::media;
use af_app::files::snapshots;
use af_app::queue::counters::{StreamRecord, count};
use af_app::queue::payload_ttl::expire_payloads;
use af_app::{App, AppError, Boot, BootError};
use af_aws::objects::Objects;
use af_telegram::TokioPause;
use serde_json::{Value, json};

/// How EventBridge names the event of a schedule.
const SCHEDULED: &str = "Scheduled Event";

/// The function.
pub struct Effects {
    app: App,
    objects: Objects,
}

/// Brings the function up.
///
/// # Errors
/// `BootError` naming what is missing in the environment.
#[allow(clippy::unused_async, reason = "every function is built the same way")]
pub async fn build(boot: &Boot) -> Result<Effects, BootError> {
    Ok(Effects { app: App::from_boot(boot)?, objects: boot.objects()? })
}

impl Effects {
    /// Handles a batch of stream records, or the schedule's event.
    ///
    /// # Errors
    /// When the event is neither, or the table cannot be written; the batch comes again.
    pub async fn handle(&self, mut event: Value) -> Result<Value, AppError> {
        if event["detail-type"] == SCHEDULED {
            let (snapshots, media) = tokio::join!(
                Box::pin(snapshots::expire(&self.app, &self.objects)),
                Box::pin(media::expire(&self.app, &self.objects))
            );
            let (snapshots, media) = (snapshots?, media?);
            return Ok(json!({
                "gone": snapshots.gone + media.gone,
                "failed": snapshots.failed + media.failed,
            }));
        }
        let unreadable = |source| AppError::Unreadable { what: "stream event", source };
        let records: Vec<Value> = serde_json::from_value(event["Records"].take()).map_err(unreadable)?;
        let records: Vec<StreamRecord> = records.into_iter().filter_map(readable).collect();
        // Counting comes last: it knows a batch again only when that comes in the same parts.
        let (fetched, expired) = tokio::join!(
            Box::pin(attachments::fetch(&self.app, &self.objects, &records, &TokioPause)),
            expire_payloads(&self.app, &records)
        );
        fetched.and(expired)?;
        count(&self.app, &records).await?;
        Ok(json!({"counted": records.len()}))
    }
}

/// A record, if it is one; another would only keep those that came with it from their effects.
fn readable(record: Value) -> Option<StreamRecord> {
    let place = record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default().to_owned();
    match serde_json::from_value(record) {
        Ok(record) => Some(record),
        Err(error) => {
            tracing::error!(%error, record = place, "a stream record cannot be read");
            None
        }
    }
}
