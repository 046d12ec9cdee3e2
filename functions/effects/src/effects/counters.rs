//! Counts the messages that wait, run and are dead letters.

use af_app::AppError;
use af_app::queue::counters::StreamRecord;
use af_app::queue::counters::count;
use async_trait::async_trait;

use crate::effect::{Context, Effect, Removed};

/// Counts the messages that wait, run and are dead letters.
pub struct Counters;

#[async_trait]
impl Effect for Counters {
    fn name(&self) -> &'static str {
        "counters"
    }

    async fn run(&self, context: &Context, records: &[StreamRecord]) -> Result<Removed, AppError> {
        count(&context.app, records).await?;
        Ok(Removed::default())
    }
}
