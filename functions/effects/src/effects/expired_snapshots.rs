//! Removes the snapshots that have expired.

use af_app::AppError;
use af_app::files::snapshots;
use af_app::queue::counters::StreamRecord;
use async_trait::async_trait;

use crate::effect::{Context, Effect, Removed};

/// Removes the snapshots that have expired.
pub struct ExpiredSnapshots;

#[async_trait]
impl Effect for ExpiredSnapshots {
    fn name(&self) -> &'static str {
        "expired_snapshots"
    }

    async fn run(&self, context: &Context, _: &[StreamRecord]) -> Result<Removed, AppError> {
        let expired = snapshots::expire(&context.app, &context.objects).await?;
        Ok(Removed { gone: expired.gone, failed: expired.failed })
    }
}
