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
    /// Takes over the tasks.
    pub async fn start(&self, pump: Pump, schedules: ScheduleRunner) {
        *self.0.pump.lock().await = Some(pump);
        *self.0.schedules.lock().await = Some(schedules);
    }

    /// Resolves when everything written and due so far has been handed to its functions.
    pub async fn settled(&self) {
        if let Some(schedules) = self.0.schedules.lock().await.as_ref() {
            schedules.settled().await;
        }
        if let Some(pump) = self.0.pump.lock().await.as_ref() {
            pump.settled().await;
        }
    }

    /// Stops the tasks; invocations under way are waited for.
    pub async fn stop(&self) {
        if let Some(schedules) = self.0.schedules.lock().await.take() {
            schedules.stop().await;
        }
        if let Some(pump) = self.0.pump.lock().await.take() {
            pump.stop().await;
        }
    }
}
