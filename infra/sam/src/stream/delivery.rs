//! The delivery of one batch to its function. As on Lambda, a failed batch is retried, split and finally given up.
//!
//! | outcome | next step (Lambda guide, "Error handling … batches") |
//! |---|---|
//! | success | the checkpoint moves behind the batch |
//! | `batchItemFailures` | the checkpoint moves before the first failed record, the rest is sent again |
//! | failure, bisect on, several records | the batch is split in two at once; splitting is no retry |
//! | failure | the same records again after a backoff, `max_retries` times |
//! | retries used up | the records are dropped and logged; the next records are delivered |

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::mapping::Mapping;
use super::position::Position;
use super::sequence_number;
use crate::invoke::EventFunction;

/// Retries of a batch whose mapping sets no limit. AWS retries until the record expires after 24 hours. In the local
/// stack, a developer wants to see the error and continue.
const RETRIES_DEFAULT: u32 = 10;
/// The wait before the first retry. It doubles with each further retry.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// The longest wait between two retries. All ten together take about 13 s.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// How the delivery of a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    /// All records were delivered or given up.
    Through,
    /// The pump stops. The checkpoint is behind the last delivered record.
    Stopped,
}

/// A batch, or the rest of a batch, that the function did not accept.
struct Failure {
    /// The first failed record; the records before it are done.
    from: usize,
    reason: String,
}

/// Delivers `batch` and moves `position` behind the delivered records.
pub(super) async fn deliver(
    mapping: &Mapping,
    function: &EventFunction,
    batch: Vec<Value>,
    position: &mut Position,
    stop: &mut watch::Receiver<bool>,
) -> Delivered {
    let max_retries = mapping.max_retries.unwrap_or(RETRIES_DEFAULT);
    let mut parts = VecDeque::from([batch]);
    let mut retries = 0;
    // The loop ends, because each round delivers records, drops records, splits a part, or uses one of `max_retries`.
    while let Some(mut part) = parts.pop_front() {
        if *stop.borrow() {
            return Delivered::Stopped;
        }
        let failure = match invoke(mapping, function, &part).await {
            Ok(()) => {
                position.pass(part.last(), part.len());
                retries = 0;
                continue;
            }
            Err(failure) => failure,
        };
        let (records, from, reason) = (part.len(), failure.from, failure.reason);
        tracing::warn!(mapping = mapping.id, records, from, retries, reason, "a stream batch failed");
        if from > 0 {
            position.pass(part.get(from - 1), from);
            parts.push_front(part.split_off(from));
            retries = 0;
        } else if mapping.bisect && records > 1 {
            let rest = part.split_off(records.div_ceil(2));
            parts.push_front(rest);
            parts.push_front(part);
            retries = 0;
        } else if retries < max_retries {
            parts.push_front(part);
            if pause(backoff(retries), stop).await == Delivered::Stopped {
                return Delivered::Stopped;
            }
            retries += 1;
        } else {
            let (first, last) =
                (part.first().and_then(sequence_number), part.last().and_then(sequence_number));
            tracing::error!(mapping = mapping.id, records, first, last, "stream records were given up");
            position.pass(part.last(), records);
            retries = 0;
        }
    }
    Delivered::Through
}

async fn invoke(mapping: &Mapping, function: &EventFunction, part: &[Value]) -> Result<(), Failure> {
    let answer = function.invoke(json!({ "Records": part })).await;
    let answer = answer.map_err(|error| Failure { from: 0, reason: error.to_string() })?;
    if !mapping.report_batch_item_failures {
        return Ok(());
    }
    match first_failed(&answer, part) {
        None => Ok(()),
        Some(from) => Err(Failure { from, reason: "the function reported failed records".to_owned() }),
    }
}

/// Returns the first record in `batchItemFailures` of the answer. A missing or empty list is a success. An item that
/// names no record of the batch fails the whole batch.
fn first_failed(answer: &Value, part: &[Value]) -> Option<usize> {
    let failures = match answer.get("batchItemFailures") {
        None | Some(Value::Null) => return None,
        Some(Value::Array(failures)) => failures,
        Some(_) => return Some(0),
    };
    let place = |failure: &Value| {
        let identifier = failure.get("itemIdentifier").and_then(Value::as_str)?;
        part.iter().position(|record| sequence_number(record) == Some(identifier))
    };
    failures.iter().map(|failure| place(failure).unwrap_or(0)).min()
}

fn backoff(retries: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1 << retries.min(16)).min(MAX_BACKOFF)
}

/// Waits in real time, or until the pump stops.
async fn pause(length: Duration, stop: &mut watch::Receiver<bool>) -> Delivered {
    match tokio::time::timeout(length, stop.wait_for(|stopping| *stopping)).await {
        Err(_) => Delivered::Through,
        Ok(_) => Delivered::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> Vec<Value> {
        ["1", "2", "3"].map(|number| json!({"dynamodb": {"SequenceNumber": number}})).to_vec()
    }

    #[test]
    fn the_first_failed_record_counts_wherever_it_is_listed() {
        let answer = json!({"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "2"}]});
        assert_eq!(first_failed(&answer, &part()), Some(1));
    }

    #[test]
    fn a_missing_list_is_a_success_and_an_invalid_one_fails_the_whole_batch() {
        for answer in
            [json!(null), json!({}), json!({"batchItemFailures": null}), json!({"batchItemFailures": []})]
        {
            assert_eq!(first_failed(&answer, &part()), None, "{answer}");
        }
        for answer in [
            json!({"batchItemFailures": "2"}),
            json!({"batchItemFailures": [{"itemIdentifier": ""}]}),
            json!({"batchItemFailures": [{"itemIdentifier": null}]}),
            json!({"batchItemFailures": [{"id": "2"}]}),
            json!({"batchItemFailures": [{"itemIdentifier": "2"}, {"itemIdentifier": "99"}]}),
        ] {
            assert_eq!(first_failed(&answer, &part()), Some(0), "{answer}");
        }
    }

    #[test]
    fn the_backoff_doubles_up_to_its_limit() {
        assert_eq!(backoff(0), Duration::from_millis(100));
        assert_eq!(backoff(1), Duration::from_millis(200));
        assert_eq!(backoff(9), MAX_BACKOFF);
        assert_eq!(backoff(u32::MAX), MAX_BACKOFF);
    }
}
