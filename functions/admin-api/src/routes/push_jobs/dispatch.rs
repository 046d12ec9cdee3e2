use std::time::Duration;

use af_api::push::DispatchRunBody;
use af_app::push::run_due::run_due;
use af_http::{Json, Problem};

use crate::caller::Operator;

/// How long a run begins new work. API Gateway waits 30 s for the answer.
const RUNS_FOR: Duration = Duration::from_secs(10);

/// Dispatches the push jobs that are due, and goes on with the running broadcasts, as the schedule does.
///
/// A run begins new work for ten seconds; the next one goes on with the rest.
#[utoipa::path(
    post, path = "/v1/push-jobs/dispatch", tag = "push", operation_id = "dispatchDuePushJobs",
    security(("apiKey" = ["admin"])),
    responses((status = 200, body = DispatchRunBody)),
)]
pub async fn dispatch(Operator { app, .. }: Operator) -> Result<Json<DispatchRunBody>, Problem> {
    let done = Box::pin(run_due(&app, RUNS_FOR)).await?;
    Ok(Json(DispatchRunBody {
        enqueued: done.enqueued,
        failed: done.failed,
        skipped: done.skipped,
        targets: done.targets,
        errors: done.errors,
        unfinished: done.unfinished,
    }))
}
