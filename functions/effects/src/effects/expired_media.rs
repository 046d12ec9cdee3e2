//! Removes the files of agents and attachments that have expired.

use af_app::AppError;
use af_app::files::media;
use af_app::files::sweep::Expired;
use af_app::queue::counters::StreamRecord;

use crate::effect::Context;

pub async fn run(context: &Context, _: &[StreamRecord]) -> Result<Expired, AppError> {
    media::expire(&context.app, &context.objects).await
}
