//! Expiry from the table's stream: what hangs on an item that expires, goes with it.

use af_store::message::ended_payload;

use crate::queue::counters::StreamRecord;
use crate::{App, AppError};

/// Gives the large payloads of messages that have ended their message's time to live. A batch that comes again sets the
/// same. A record that cannot be read keeps its payload, and the others from nothing.
///
/// # Errors
/// When the table cannot answer.
pub async fn expire_payloads(app: &App, records: &[StreamRecord]) -> Result<(), AppError> {
    for record in records {
        match ended_payload(record.dynamodb.new_image.as_ref()) {
            Ok(Some(payload)) => {
                app.store.expire_payload_if_present(&payload).await?;
            }
            Ok(None) => {}
            Err(error) => {
                let record = &record.dynamodb.sequence_number;
                tracing::error!(%error, record, "a payload keeps its time");
            }
        }
    }
    Ok(())
}
