//! Gives the large payload of a message that has ended the message's time to live.

use af_app::AppError;
use af_app::queue::counters::StreamRecord;
use af_app::queue::payload_ttl::expire_payloads;
use async_trait::async_trait;

use crate::effect::{Context, Effect, Removed};

/// Gives the large payload of a message that has ended the message's time to live.
pub struct PayloadTtl;

#[async_trait]
impl Effect for PayloadTtl {
    fn name(&self) -> &'static str {
        "payload_ttl"
    }

    async fn run(&self, context: &Context, records: &[StreamRecord]) -> Result<Removed, AppError> {
        expire_payloads(&context.app, records).await?;
        Ok(Removed::default())
    }
}
