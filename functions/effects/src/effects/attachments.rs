//! Fetches the attachments of new messages from Telegram.

use af_app::AppError;
use af_app::files::attachments::fetch;
use af_app::queue::counters::StreamRecord;
use af_telegram::TokioPause;
use async_trait::async_trait;

use crate::effect::{Context, Effect, Removed};

/// Fetches the attachments of new messages from Telegram.
pub struct Attachments;

#[async_trait]
impl Effect for Attachments {
    fn name(&self) -> &'static str {
        "attachments"
    }

    async fn run(&self, context: &Context, records: &[StreamRecord]) -> Result<Removed, AppError> {
        fetch(&context.app, &context.objects, records, &TokioPause).await?;
        Ok(Removed::default())
    }
}
