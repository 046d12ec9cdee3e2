//! The task of one mapping: it reads the stream, queues the matching records, and delivers them in batches.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio::time::Instant;

use super::batch::Queue;
use super::delivery::{Delivered, deliver};
use super::mapping::Mapping;
use super::position::Position;
use super::{StreamSource, sequence_number};
use crate::invoke::EventFunction;
use crate::tasks::Signals;

/// The most records of one read: enough to work off a backlog quickly, and few enough for the memory at any record
/// size.
const MAX_READ_RECORDS: usize = 500;
/// How long a mapping collects writes after the first one, so that a burst needs one read and not hundreds. Lambda
/// polls four times a second.
const GATHER: Duration = Duration::from_millis(10);
/// The wait after a failed read of the source.
const READ_RETRY: Duration = Duration::from_secs(1);

/// The task of one mapping.
pub(super) struct Task {
    mapping: Mapping,
    function: EventFunction,
    source: Arc<dyn StreamSource>,
    writes: watch::Receiver<u64>,
    position: Position,
    signals: Signals,
    queue: Queue,
    /// All records up to this one were read. Each is queued, passed or filtered out.
    read_through: Option<String>,
    /// The number of records that were filtered out since the position last moved.
    unwanted: usize,
    window_ends: Instant,
    /// A call of `Pump::settled`, and the last record at that time.
    goal: Option<(u64, Option<String>)>,
}

impl Task {
    pub(super) fn new(
        mapping: Mapping,
        function: EventFunction,
        source: Arc<dyn StreamSource>,
        position: Position,
        signals: Signals,
    ) -> Self {
        Self {
            writes: source.writes(),
            read_through: position.passed.clone(),
            mapping,
            function,
            source,
            position,
            signals,
            queue: Queue::default(),
            unwanted: 0,
            window_ends: Instant::now(),
            goal: None,
        }
    }

    /// Delivers until the pump stops.
    pub(super) async fn run(mut self) {
        while !*self.signals.stop.borrow() {
            // Both are marked as seen before the read, so that a later write or call wakes the task again.
            let ask = *self.signals.asks.borrow_and_update();
            self.writes.borrow_and_update();
            let caught_up = match self.read() {
                Ok(caught_up) => caught_up,
                Err(error) => {
                    tracing::error!(
                        mapping = self.mapping.id,
                        error = format!("{error:#}"),
                        "cannot read a stream"
                    );
                    self.wait_for_a_retry().await;
                    continue;
                }
            };
            if caught_up && self.goal.is_none() && ask > *self.signals.answered.borrow() {
                self.goal = Some((ask, self.read_through.clone()));
            }
            let full = self.queue.is_full(self.mapping.batch_size);
            let hurry = self.goal.is_some() || Instant::now() >= self.window_ends;
            if (full || (caught_up && hurry && !self.queue.is_empty()))
                && self.deliver().await == Delivered::Stopped
            {
                return;
            }
            self.pass_unwanted();
            self.answer();
            if caught_up && !full {
                self.wait().await;
            } else {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Reads one page, unless a batch is complete already. Returns whether there was no further record.
    fn read(&mut self) -> anyhow::Result<bool> {
        if self.queue.is_full(self.mapping.batch_size) {
            return Ok(false);
        }
        let page =
            self.source.records(&self.mapping.table, self.read_through.as_deref(), MAX_READ_RECORDS)?;
        let caught_up = page.len() < MAX_READ_RECORDS;
        for record in page {
            let sequence = sequence_number(&record).context("a stream record without a sequence number")?;
            self.read_through = Some(sequence.to_owned());
            if !self.mapping.wants(&record) {
                self.unwanted += 1;
                continue;
            }
            if self.queue.is_empty() {
                self.open_window();
            }
            self.queue.push(record);
        }
        Ok(caught_up)
    }

    fn open_window(&mut self) {
        self.window_ends = Instant::now() + Duration::from_millis(self.mapping.window.as_millis());
    }

    async fn deliver(&mut self) -> Delivered {
        let batch = self.queue.take(self.mapping.batch_size);
        let Self { mapping, function, position, signals, .. } = self;
        let delivered = deliver(mapping, function, batch, position, &mut signals.stop).await;
        // As on Lambda, the next window begins after the invocation.
        self.open_window();
        delivered
    }

    /// When the queue is empty, all read records are finished.
    fn pass_unwanted(&mut self) {
        if self.queue.is_empty()
            && let Some(through) = &self.read_through
            && self.position.passed.as_ref() != Some(through)
        {
            self.position.pass_through(through.clone(), self.unwanted);
            self.unwanted = 0;
        }
    }

    fn answer(&mut self) {
        if let Some((ask, through)) = &self.goal
            && self.position.passed >= *through
        {
            self.signals.answered.send_replace(*ask);
            self.goal = None;
        }
    }

    /// Waits for the next event: a write, the end of the window, a call of `settled`, or the stop.
    async fn wait(&mut self) {
        let window_open = !self.queue.is_empty();
        let Signals { asks, stop, .. } = &mut self.signals;
        tokio::select! {
            () = changed(stop) => {}
            () = changed(asks) => {}
            () = tokio::time::sleep_until(self.window_ends), if window_open => {}
            () = changed(&mut self.writes) => tokio::select! {
                () = changed(stop) => {}
                () = changed(asks) => {}
                () = tokio::time::sleep(GATHER) => {}
            },
        }
    }

    async fn wait_for_a_retry(&mut self) {
        tokio::select! {
            () = changed(&mut self.signals.stop) => {}
            () = tokio::time::sleep(READ_RETRY) => {}
        }
    }
}

/// Resolves at the next change, and never if the sender is gone.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
