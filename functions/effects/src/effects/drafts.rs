//! Shows the people who have written that the agent is at work.

use af_app::AppError;
use af_app::files::sweep::Expired;
use af_app::queue::counters::StreamRecord;
use af_app::telegram::drafts::show;

use crate::effect::Context;

pub async fn run(context: &Context, records: &[StreamRecord]) -> Result<Expired, AppError> {
    show(&context.app, records).await;
    Ok(Expired::default())
}
