//! Fetches the attachments of new messages from Telegram.

use af_app::AppError;
use af_app::files::attachments::fetch;
use af_app::files::sweep::Expired;
use af_app::queue::counters::StreamRecord;
use af_telegram::TokioPause;

use crate::effect::Context;

pub async fn run(context: &Context, records: &[StreamRecord]) -> Result<Expired, AppError> {
    fetch(&context.app, &context.objects, records, &TokioPause).await?;
    Ok(Expired::default())
}
