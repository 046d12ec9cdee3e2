//! What actors were answered, for the judge to compare with the table.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use af_app::conversations::Freed;
use af_app::queue::Cancelled;
use af_domain::ids::{ConversationId, LeaseId};
use af_domain::time::Timestamp;
use tokio::time::Instant;

#[derive(Default)]
pub struct Answers {
    /// Messages whose acceptance was answered.
    pub accepted: Mutex<BTreeMap<String, Accepted>>,
    /// Messages whose completion was answered, with the fence it was answered to.
    pub completed: Mutex<BTreeMap<String, u64>>,
    /// Leases that workers were handed or whose heartbeat was held, with the moment before which they asked.
    pub held: Mutex<Vec<(LeaseId, Timestamp)>>,
    /// Leases whose failure was answered, with what became of the message.
    pub failed: Mutex<Vec<(LeaseId, &'static str)>>,
    /// Leases to which an append was answered.
    pub appended: Mutex<Vec<LeaseId>>,
    /// Messages whose cancellation was answered.
    pub cancelled: Mutex<Vec<(String, Cancelled)>>,
    /// Messages that could not be cancelled because they were done.
    pub done: Mutex<Vec<String>>,
    /// Dead letters whose retry was answered.
    pub retried: Mutex<Vec<String>>,
    /// What operators asked to be freed, before they asked.
    pub freeing: Mutex<Vec<Freeing>>,
    /// What was answered to them, with the conversation's partition.
    pub freed: Mutex<Vec<(String, Freed)>>,
    /// What actors saw that must not be.
    pub complaints: Mutex<Vec<String>>,
}

/// A message that was accepted.
pub struct Accepted {
    /// When that was answered first.
    pub at: Instant,
    pub conversation: ConversationId,
}

/// An operator's wish to have a conversation freed.
pub struct Freeing {
    /// The conversation's partition.
    pub conversation: String,
    /// Only from the claim with this fence.
    pub fence: Option<u64>,
    /// When it was asked for, ms.
    pub at: u64,
}

impl Answers {
    pub fn complain(&self, complaint: String) {
        self.complaints.lock().unwrap().push(complaint);
    }

    pub fn accept(&self, message: String, conversation: &ConversationId) {
        let accepted = || Accepted { at: Instant::now(), conversation: conversation.clone() };
        self.accepted.lock().unwrap().entry(message).or_insert_with(accepted);
    }

    /// What was accepted at least so long ago.
    pub fn accepted_before(&self, ago: Duration) -> Vec<String> {
        self.accepted_where(|accepted| accepted.at.elapsed() >= ago)
    }

    /// What was accepted and is wanted, in the order of ids.
    pub fn accepted_where(&self, wanted: impl Fn(&Accepted) -> bool) -> Vec<String> {
        let accepted = self.accepted.lock().unwrap();
        accepted.iter().filter(|(_, accepted)| wanted(accepted)).map(|(id, _)| id.clone()).collect()
    }
}
