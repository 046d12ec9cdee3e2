//! Gives the large payload of a message that has ended the message's time to live.

use af_app::AppError;
use af_app::files::sweep::Expired;
use af_app::queue::counters::StreamRecord;
use af_app::queue::payload_ttl::expire_payloads;

use crate::effect::Context;

pub async fn run(context: &Context, records: &[StreamRecord]) -> Result<Expired, AppError> {
    expire_payloads(&context.app, records).await?;
    Ok(Expired::default())
}
