//! How soon a warm worker begins with a message.

use crate::support::Dev;

/// Messages of the measurement.
const MESSAGES: usize = 11;
/// The median time from the acceptance of a message to the beginning of its first attempt.
const MAX_MEDIAN_MS: u64 = 250;

#[tokio::test]
async fn a_warm_worker_begins_with_a_message_within_a_quarter_of_a_second() {
    let dev = Dev::start(&[]).await;
    let first = dev.send("c", "hello").await;
    dev.message_in(&first, "done").await;
    let mut waits = Vec::new();
    for number in 0..MESSAGES {
        let id = dev.send("c", &format!("message {number}")).await;
        let message = dev.message_in(&id, "done").await;
        let began = message["attemptLog"][0]["claimedAt"].as_u64().unwrap();
        waits.push(began.saturating_sub(message["enqueuedAt"].as_u64().unwrap()));
    }
    waits.sort_unstable();
    assert!(waits[MESSAGES / 2] < MAX_MEDIAN_MS, "{waits:?}");
}
