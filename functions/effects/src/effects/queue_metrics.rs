//! Records how many messages wait, run and are dead letters.

use af_app::AppError;
use af_app::files::sweep::Expired;
use af_app::queue::counters::{StreamRecord, measure};

use crate::effect::Context;

pub async fn run(context: &Context, _: &[StreamRecord]) -> Result<Expired, AppError> {
    measure(&context.app).await?;
    Ok(Expired::default())
}
