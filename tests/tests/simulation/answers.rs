//! The answers that actors got. The judge compares them with the table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use af_api::conversations::FreeAnswer;
use af_app::queue::Cancelled;
use af_domain::ids::{ConversationId, LeaseId};
use af_domain::time::Timestamp;
use tokio::time::Instant;

#[derive(Default)]
pub struct Answers {
    /// The answers to updates from Telegram.
    pub people: Mutex<People>,
    /// Messages whose acceptance was answered.
    pub accepted: Mutex<BTreeMap<String, Accepted>>,
    /// Messages whose completion was answered, with the fence of the completing lease.
    pub completed: Mutex<BTreeMap<String, u64>>,
    /// Leases that a claim or a heartbeat confirmed, with a time before the call.
    pub confirmed_leases: Mutex<Vec<(LeaseId, Timestamp)>>,
    /// Messages that were handed to workers.
    pub delivered: Mutex<Vec<Delivered>>,
    /// Leases whose failure was answered, with the outcome for the message.
    pub failed: Mutex<Vec<(LeaseId, &'static str)>>,
    /// Leases under which an append was answered.
    pub appended: Mutex<Vec<LeaseId>>,
    /// Messages whose cancellation was answered.
    pub cancelled: Mutex<Vec<(String, Cancelled)>>,
    /// Messages that could not be cancelled because they were done.
    pub done: Mutex<Vec<String>>,
    /// Dead letters whose retry was answered.
    pub retried: Mutex<Vec<String>>,
    /// The requests of operators to free a conversation, noted before each call.
    pub freeing: Mutex<Vec<Freeing>>,
    /// The answers to these requests, with the partition of the conversation.
    pub freed: Mutex<Vec<(String, FreeAnswer)>>,
    /// The answers to calls about push jobs and broadcasts.
    pub push: Mutex<Pushes>,
    /// Answers that break an invariant, as actors report them.
    pub violations: Mutex<Vec<String>>,
}

/// A message that was handed to a worker.
#[derive(Debug)]
pub struct Delivered {
    pub message: String,
    /// The user of the conversation, empty in a conversation without one; and its agent.
    pub user: String,
    pub agent: String,
    /// The Telegram chat that gets the reply, if one does.
    pub target: Option<String>,
    /// The times before and after the worker's call, ms.
    pub asked: u64,
    pub answered: u64,
    /// The text that the worker got; `None` for a part of a reply.
    pub text: Option<String>,
}

/// The answers to updates from Telegram that the judge has not seen.
#[derive(Default)]
pub struct People {
    /// Messages whose edit was answered: the message, the number of the edit, and the time of the answer, ms.
    pub edited: Vec<(String, u64, u64)>,
    /// Albums in which a file was put: the message and the number of its files.
    pub albums: Vec<(String, usize)>,
    /// Commands to stop that were answered.
    pub stopped: Vec<Stopped>,
}

/// A command to stop, with the times before and after its call, ms.
#[derive(Clone, Debug)]
pub struct Stopped {
    pub chat: String,
    pub asked: u64,
    pub answered: u64,
    /// The messages whose acceptance was answered before the call.
    pub accepted: BTreeSet<String>,
}

/// The answers to calls about push jobs and broadcasts.
#[derive(Default)]
pub struct Pushes {
    /// Jobs whose creation was answered.
    pub created: Vec<String>,
    /// Runs whose trigger was answered.
    pub triggered: Vec<String>,
    /// Broadcasts that were accepted, and those whose cancellation was answered.
    pub sent: Vec<String>,
    pub cancelled: Vec<String>,
    /// The numbers of triggers and broadcasts that were called, each with its own idempotency key.
    pub trigger_calls: usize,
    pub broadcast_calls: usize,
}

/// A message that was accepted.
pub struct Accepted {
    /// When the acceptance was first answered.
    pub at: Instant,
    /// The conversation; `None` if the message came from Telegram, whose user does not know it.
    pub conversation: Option<ConversationId>,
}

/// An operator's request to free a conversation.
pub struct Freeing {
    /// The conversation's partition.
    pub conversation: String,
    /// The request applies only to the claim with this fence.
    pub fence: Option<u64>,
    /// The time of the request, ms.
    pub at: u64,
}

impl Answers {
    pub fn add_violation(&self, violation: String) {
        self.violations.lock().unwrap().push(violation);
    }

    pub fn accept(&self, message: String, conversation: Option<&ConversationId>) {
        let accepted = || Accepted { at: Instant::now(), conversation: conversation.cloned() };
        self.accepted.lock().unwrap().entry(message).or_insert_with(accepted);
    }

    /// The messages that were accepted at least `ago` before now.
    pub fn accepted_before(&self, ago: Duration) -> Vec<String> {
        self.accepted_where(|accepted| accepted.at.elapsed() >= ago)
    }

    /// The accepted messages that match `wanted`, in the order of ids.
    pub fn accepted_where(&self, wanted: impl Fn(&Accepted) -> bool) -> Vec<String> {
        let accepted = self.accepted.lock().unwrap();
        accepted.iter().filter(|(_, accepted)| wanted(accepted)).map(|(id, _)| id.clone()).collect()
    }
}
