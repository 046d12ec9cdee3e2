//! Counts what messages have used in the ledger.

use af_app::AppError;
use af_app::files::sweep::Expired;
use af_app::queue::counters::StreamRecord;
use af_app::queue::ledger::record;

use crate::effect::Context;

pub async fn run(context: &Context, records: &[StreamRecord]) -> Result<Expired, AppError> {
    record(&context.app, records).await?;
    Ok(Expired::default())
}
