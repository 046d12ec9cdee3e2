//! The background tasks of the event sources, and the signals between them and their owner.

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Running tasks. Dropping it stops them at once, like a crash.
pub(crate) struct Tasks {
    running: JoinSet<()>,
    asks: watch::Sender<u64>,
    answered: Vec<watch::Receiver<u64>>,
    stop: watch::Sender<bool>,
}

/// The signals of one task.
pub(crate) struct Signals {
    /// Counts the calls of [`Tasks::settled`].
    pub asks: watch::Receiver<u64>,
    /// The last of those calls whose work is finished.
    pub answered: watch::Sender<u64>,
    /// Whether the task must end.
    pub stop: watch::Receiver<bool>,
}

impl Tasks {
    pub fn new() -> Self {
        let (running, answered) = (JoinSet::new(), Vec::new());
        Self { running, asks: watch::Sender::new(0), answered, stop: watch::Sender::new(false) }
    }

    /// Starts a task. It must be called within a Tokio runtime.
    pub fn spawn<T: Future<Output = ()> + Send + 'static>(&mut self, task: impl FnOnce(Signals) -> T) {
        let (answered, answers) = watch::channel(0);
        self.answered.push(answers);
        let signals = Signals { asks: self.asks.subscribe(), answered, stop: self.stop.subscribe() };
        self.running.spawn(task(signals));
    }

    /// Resolves when every task has finished the work that was due at this call.
    pub async fn settled(&self) {
        let mut ask = 0;
        self.asks.send_modify(|asks| {
            *asks += 1;
            ask = *asks;
        });
        for answered in &self.answered {
            // An error means that the task has ended and does no more work.
            let _ = answered.clone().wait_for(|answered| *answered >= ask).await;
        }
    }

    /// Stops the tasks and waits for running invocations, at most for their timeout.
    pub async fn stop(&mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "an event source ended unexpectedly");
            }
        }
    }
}
