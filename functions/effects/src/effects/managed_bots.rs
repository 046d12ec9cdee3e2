//! Connects the bots that people have created.

use af_app::AppError;
use af_app::files::sweep::Expired;
use af_app::queue::counters::StreamRecord;
use af_app::telegram::managed_bots::connect_changed;

use crate::effect::Context;

pub async fn run(context: &Context, records: &[StreamRecord]) -> Result<Expired, AppError> {
    connect_changed(&context.app, records).await;
    Ok(Expired::default())
}
