//! Counts the messages that wait, run and are dead letters.

use af_app::AppError;
use af_app::files::sweep::Expired;
use af_app::queue::counters::{StreamRecord, count};

use crate::effect::Context;

pub async fn run(context: &Context, records: &[StreamRecord]) -> Result<Expired, AppError> {
    count(&context.app, records).await?;
    Ok(Expired::default())
}
