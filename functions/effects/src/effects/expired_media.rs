//! Removes the files of agents and attachments that have expired.

use af_app::AppError;
use af_app::files::media;
use af_app::queue::counters::StreamRecord;
use async_trait::async_trait;

use crate::effect::{Context, Effect, Removed};

/// Removes the files of agents and attachments that have expired.
pub struct ExpiredMedia;

#[async_trait]
impl Effect for ExpiredMedia {
    fn name(&self) -> &'static str {
        "expired_media"
    }

    async fn run(&self, context: &Context, _: &[StreamRecord]) -> Result<Removed, AppError> {
        let expired = media::expire(&context.app, &context.objects).await?;
        Ok(Removed { gone: expired.gone, failed: expired.failed })
    }
}
