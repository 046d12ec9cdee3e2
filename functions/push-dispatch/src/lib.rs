//! Push dispatch, on a schedule: enqueues the messages of the push jobs whose time has come, and goes on with the running
//! broadcasts. Many runs at the same time are safe. A run that has no time left ends; the next one goes on.

use af_app::push::run_due::{SCHEDULE_RUNS_FOR, run_due};
use af_app::{App, AppError, Boot, BootError};
use af_runtime::metric::Metric;
use serde_json::{Value, json};

/// The function.
pub struct PushDispatch {
    app: App,
}

/// Builds the function.
///
/// # Errors
/// `BootError` that names what the environment lacks.
#[allow(clippy::unused_async, reason = "every function is built the same way")]
pub async fn build(boot: &Boot) -> Result<PushDispatch, BootError> {
    Ok(PushDispatch { app: App::from_boot(boot)? })
}

impl PushDispatch {
    /// Handles a schedule event.
    ///
    /// # Errors
    /// When the table cannot be read. The error of one job or broadcast is logged, and the next run tries it again.
    pub async fn handle(&self, _event: Value) -> Result<Value, AppError> {
        let done = Box::pin(run_due(&self.app, SCHEDULE_RUNS_FOR)).await?;
        if done.errors > 0 {
            Metric::PushDispatchError.add(done.errors);
            tracing::warn!(errors = done.errors, "push jobs were not dispatched");
        }
        if done.unfinished {
            Metric::PushDispatchUnfinished.count();
            tracing::warn!("a run ended before its work; the next one goes on");
        }
        Ok(json!({
            "enqueued": done.enqueued,
            "failed": done.failed,
            "skipped": done.skipped,
            "targets": done.targets,
            "errors": done.errors,
            "unfinished": done.unfinished,
        }))
    }
}
