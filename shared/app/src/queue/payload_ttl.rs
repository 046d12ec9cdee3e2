//! Sets the TTL of large payloads from the table's stream, so that a payload expires with its message.

use af_store::message::ended_payload;

use crate::queue::counters::StreamRecord;
use crate::{App, Result};

/// Gives the large payloads of ended messages the TTL of their message. A repeated batch sets the same TTL. A
/// malformed record is skipped and does not affect the others.
pub async fn expire_payloads(app: &App, records: &[StreamRecord]) -> Result<()> {
    for record in records {
        match ended_payload(record.dynamodb.new_image.as_ref()) {
            Ok(Some(payload)) => {
                app.store.expire_payload_if_present(&payload).await?;
            }
            Ok(None) => {}
            Err(error) => {
                let record = &record.dynamodb.sequence_number;
                tracing::error!(%error, record, "a malformed stream record; its payload does not expire");
            }
        }
    }
    Ok(())
}
