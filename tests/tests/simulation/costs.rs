//! The limit of requests for each operation under concurrent calls: invariant 11, measured while faults are off.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// An operation of a function that an actor calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Enqueue,
    Poll,
    Heartbeat,
    Append,
    Complete,
    Fail,
    Reconcile,
    Configure,
    Bind,
    Revoke,
    ConfigureAgent,
    Stats,
    ListDeadLetters,
    ListConversation,
    ShowMessage,
    ShowConversation,
    Cancel,
    CancelOfUser,
    Retry,
    RetryAll,
    Free,
    Count,
    StoreAttachmentResults,
    Deliver,
    Webhook,
    ShowDrafts,
    Dispatch,
    ManagePush,
}

/// What the notice about a dead letter reads: the message, the binding and the profile; and the write without the notice.
const APOLOGY: u64 = 3 + 1;

impl Operation {
    pub const ALL: [Self; 28] = [
        Self::Enqueue,
        Self::Poll,
        Self::Heartbeat,
        Self::Append,
        Self::Complete,
        Self::Fail,
        Self::Reconcile,
        Self::Configure,
        Self::Bind,
        Self::Revoke,
        Self::ConfigureAgent,
        Self::Stats,
        Self::ListDeadLetters,
        Self::ListConversation,
        Self::ShowMessage,
        Self::ShowConversation,
        Self::Cancel,
        Self::CancelOfUser,
        Self::Retry,
        Self::RetryAll,
        Self::Free,
        Self::Count,
        Self::StoreAttachmentResults,
        Self::Deliver,
        Self::Webhook,
        Self::ShowDrafts,
        Self::Dispatch,
        Self::ManagePush,
    ];

    /// The limit of requests of one call. The function has just started, so it reads policies and profile first, and
    /// other actors change the same conversation all the time. `None` where the number grows with the amount of work.
    pub const fn max_requests(self) -> Option<u64> {
        Some(match self {
            // Policies and profile, which is read again when the agent is stopped; the transaction, then a retry with the
            // other variant or as a new conversation.
            Self::Enqueue => 3 + 3,
            // Policies; conversation, row and shards; claim, message, history, head of the documents, binding, profile; one
            // lost or repaired candidate; the end of a message whose agent must not answer.
            Self::Poll => 1 + 2 + 6 + 6 + 6 + 1 + 3 * 2 + APOLOGY,
            // Policies and write; the worker's row when it drains; the stored entries when an append is repeated.
            Self::Append => 1 + 2,
            // In addition, the read and the write that end a run beyond its limit.
            Self::Heartbeat => 1 + 2 + 2 + APOLOGY,
            // Read and write, three times when other actors enqueue at the same time.
            Self::Fail => 1 + 3 * (2 + APOLOGY),
            // A completion also sends what waits in the outbox of its chat.
            // An update may stop any number of messages, and a batch of the stream may have any number of them. A dispatcher
            // sends everything that is due.
            Self::Reconcile
            | Self::RetryAll
            | Self::Complete
            | Self::Deliver
            | Self::Webhook
            | Self::ShowDrafts
            | Self::Dispatch => return None,
            // Read and write, twice when another operator was faster.
            Self::Configure => 2 * 2,
            // Profile; both bindings and the write, three times when other calls bind at the same time.
            Self::Bind => 1 + 3 * 3,
            Self::Revoke => 3 * 2,
            // Profile and write; then the bot, and the secret of its webhook.
            Self::ConfigureAgent => 2 + 1 + 2,
            // A trigger: policies, profile; the job, the call and the binding; the write, which is repeated as for an enqueue;
            // all but policies and profile again when another call was faster.
            Self::ManagePush => 2 + 3 * (3 + 3),
            // Policies, counters, the last report, and a page of each shard.
            Self::Stats => 3 + 6,
            // A page of each shard, then the messages.
            Self::ListDeadLetters => 4 + 1,
            Self::ListConversation => 3,
            // The message is read again when it has ended in between.
            Self::ShowMessage => 3,
            Self::ShowConversation | Self::Count => 1,
            // Policies; message, conversation and write, three times when other actors write at the same time.
            Self::Cancel => 1 + 3 * 3,
            // The message is read first.
            Self::CancelOfUser => 3 + 1 + 3 * 3,
            // Policies and profile; the requests of a cancellation; the message when another actor was faster.
            Self::Retry => 2 + 3 * 3 + 1,
            // Message, policies; conversation and write, once for each try when other actors write at the same time.
            Self::StoreAttachmentResults => 2 + 8 * 2,
            // Policies; conversation, owner's row and write, three times when other actors write at the same time.
            Self::Free => 1 + 3 * 3,
        })
    }
}

/// The largest number of requests of each operation.
pub type PeakRequests = BTreeMap<Operation, u64>;

/// The request counts of operations.
#[derive(Default)]
pub struct Costs(Mutex<PeakRequests>);

impl Costs {
    pub fn record(&self, operation: Operation, requests: u64) {
        let mut peak_requests = self.0.lock().unwrap();
        let peak = peak_requests.entry(operation).or_default();
        *peak = requests.max(*peak);
    }

    pub fn peak_requests(&self) -> PeakRequests {
        self.0.lock().unwrap().clone()
    }

    /// The first operation with more requests than its limit.
    pub fn excess(&self) -> Option<String> {
        let peak_requests = self.0.lock().unwrap();
        let over_limit = |(operation, requests): (&Operation, &u64)| {
            let limit = operation.max_requests().filter(|limit| requests > limit)?;
            Some(format!("{operation:?} took {requests} requests, the limit is {limit}"))
        };
        peak_requests.iter().find_map(over_limit)
    }
}
