//! Removes the snapshots that have expired.

use af_app::AppError;
use af_app::files::snapshots;
use af_app::files::sweep::Expired;
use af_app::queue::counters::StreamRecord;

use crate::effect::Context;

pub async fn run(context: &Context, _: &[StreamRecord]) -> Result<Expired, AppError> {
    snapshots::expire(&context.app, &context.objects).await
}
