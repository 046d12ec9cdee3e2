//! The tasks that call functions without a request: table streams and schedules.

use std::sync::Arc;

use af_sam::schedule::ScheduleRunner;
use af_sam::stream::pump::Pump;
use tokio::sync::Mutex;

/// The running streams and schedules; none until [`start`](Self::start). Clones share the same tasks.
#[derive(Clone, Default)]
pub(crate) struct Background(Arc<Mutex<Option<(Pump, ScheduleRunner)>>>);

impl Background {
    /// Stores the running tasks.
    pub async fn start(&self, pump: Pump, schedules: ScheduleRunner) {
        *self.0.lock().await = Some((pump, schedules));
    }

    /// Resolves when all records and schedules up to now have been delivered to their functions.
    pub async fn settled(&self) {
        if let Some((pump, schedules)) = &*self.0.lock().await {
            schedules.settled().await;
            pump.settled().await;
        }
    }

    /// Stops the tasks and waits for running invocations.
    pub async fn stop(&self) {
        if let Some((pump, schedules)) = self.0.lock().await.take() {
            schedules.stop().await;
            pump.stop().await;
        }
    }
}
