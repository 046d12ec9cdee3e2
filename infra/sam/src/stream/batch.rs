//! The queue of a mapping: matching records that are not delivered yet.

use std::collections::VecDeque;

use serde_json::Value;

/// The most bytes of one batch: Lambda's limit for a payload. A single larger record is sent alone.
const MAX_BATCH_BYTES: usize = 6 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Queue {
    records: VecDeque<(Value, usize)>,
    bytes: usize,
}

impl Queue {
    pub(super) fn push(&mut self, record: Value) {
        let size = record.to_string().len();
        self.bytes += size;
        self.records.push_back((record, size));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether the next batch cannot grow any more.
    pub(super) fn is_full(&self, batch_size: usize) -> bool {
        self.records.len() >= batch_size || self.bytes >= MAX_BATCH_BYTES
    }

    /// Takes the next batch: the oldest records, at most `batch_size`, and at least one if there is one.
    pub(super) fn take(&mut self, batch_size: usize) -> Vec<Value> {
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        while let Some((record, size)) = self.records.pop_front() {
            let fits =
                batch.is_empty() || (batch.len() < batch_size && batch_bytes + size <= MAX_BATCH_BYTES);
            if !fits {
                self.records.push_front((record, size));
                break;
            }
            batch_bytes += size;
            self.bytes -= size;
            batch.push(record);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_batch_has_at_most_its_size_and_keeps_the_order() {
        let mut queue = Queue::default();
        (0..5).for_each(|n| queue.push(json!(n)));
        assert!(queue.is_full(5) && !queue.is_full(6));
        assert_eq!(queue.take(3), [json!(0), json!(1), json!(2)]);
        assert_eq!(queue.take(3), [json!(3), json!(4)]);
        assert!(queue.take(3).is_empty() && queue.is_empty());
    }

    #[test]
    fn a_batch_stays_below_lambdas_payload_limit_and_is_never_empty() {
        let mut queue = Queue::default();
        let half = json!("x".repeat(MAX_BATCH_BYTES / 2));
        let huge = json!("x".repeat(MAX_BATCH_BYTES + 1));
        [&half, &half, &huge, &half].into_iter().for_each(|record| queue.push(record.clone()));
        assert!(queue.is_full(100));
        let sizes: Vec<usize> =
            std::iter::from_fn(|| Some(queue.take(100).len()).filter(|n| *n > 0)).collect();
        assert_eq!(sizes, [1, 1, 1, 1]);
        assert!(!queue.is_full(1));
    }
}
