//! The tasks that call functions without a request: table streams and schedules.

use std::sync::Arc;

use af_sam::schedule::ScheduleRunner;
use af_sam::stream::pump::Pump;
use tokio::sync::Mutex;

/// The running streams and schedules; none until [`start`](Self::start). Clones share the same tasks.
#[derive(Clone, Default)]
pub(crate) struct Background(Arc<Tasks>);

#[derive(Default)]
struct Tasks {
    pump: Mutex<Option<Pump>>,
    schedules: Mutex<Option<ScheduleRunner>>,
}

impl Background {
    /// Stores the running tasks.
    pub async fn start(&self, pump: Pump, schedules: ScheduleRunner) {
        *self.0.pump.lock().await = Some(pump);
        *self.0.schedules.lock().await = Some(schedules);
    }

    /// Resolves when all records and schedules up to now have been delivered to their functions.
    pub async fn settled(&self) {
        if let Some(schedules) = self.0.schedules.lock().await.as_ref() {
            schedules.settled().await;
        }
        if let Some(pump) = self.0.pump.lock().await.as_ref() {
            pump.settled().await;
        }
    }

    /// Stops the tasks and waits for running invocations.
    pub async fn stop(&self) {
        if let Some(schedules) = self.0.schedules.lock().await.take() {
            schedules.stop().await;
        }
        if let Some(pump) = self.0.pump.lock().await.take() {
            pump.stop().await;
        }
    }
}
