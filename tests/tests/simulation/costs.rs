//! What an operation may cost in requests, whoever else is there: invariant 11, in worlds where nothing goes wrong.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// What an actor asks a function for.
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
    SettleAttachments,
}

impl Operation {
    pub const ALL: [Self; 20] = [
        Self::Enqueue,
        Self::Poll,
        Self::Heartbeat,
        Self::Append,
        Self::Complete,
        Self::Fail,
        Self::Reconcile,
        Self::Configure,
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
        Self::SettleAttachments,
    ];

    /// The most requests, in a function that has just come up and so reads policies and profile first, when others
    /// change the same conversation all the time; `None` where it grows with what there is to do.
    pub const fn max_requests(self) -> Option<u64> {
        Some(match self {
            // Policies, profile; the transaction, and again with the other variant or as a new conversation.
            Self::Enqueue => 2 + 3,
            // Policies; conversation, row and shards; claim, message, history, profile; a candidate lost or repaired.
            Self::Poll => 1 + 2 + 6 + 4 + 6,
            // Policies and write; the worker's row, when it is to leave; what stands there, when an append comes again.
            Self::Heartbeat | Self::Append => 1 + 2,
            // The message itself is asked when the lease is gone.
            Self::Complete => 1 + 2,
            // Read and write, thrice when others enqueue meanwhile.
            Self::Fail => 1 + 3 * 2,
            Self::Reconcile | Self::RetryAll => return None,
            // Read and write, once more when another operator was faster.
            Self::Configure => 2 * 2,
            // Policies, counters and a page of each shard.
            Self::Stats => 2 + 6,
            // A page of each shard, and the messages.
            Self::ListDeadLetters => 4 + 1,
            Self::ListConversation => 3,
            // The message once more when it has ended meanwhile.
            Self::ShowMessage => 3,
            Self::ShowConversation | Self::Count => 1,
            // Policies; message, conversation and write, thrice when others write meanwhile.
            Self::Cancel => 1 + 3 * 3,
            // The message is looked at first.
            Self::CancelOfUser => 3 + 1 + 3 * 3,
            // Policies and profile; as a cancellation; how the message is when somebody else was faster.
            Self::Retry => 2 + 3 * 3 + 1,
            // Message, policies; conversation and write, as often as it is tried when others write meanwhile.
            Self::SettleAttachments => 2 + 8 * 2,
            // Policies; conversation, owner's row and write, thrice when others write meanwhile.
            Self::Free => 1 + 3 * 3,
        })
    }
}

/// The most requests that each operation took.
pub type Dearest = BTreeMap<Operation, u64>;

/// What operations took.
#[derive(Default)]
pub struct Costs(Mutex<Dearest>);

impl Costs {
    pub fn spent(&self, operation: Operation, requests: u64) {
        let mut dearest = self.0.lock().unwrap();
        let most = dearest.entry(operation).or_default();
        *most = requests.max(*most);
    }

    pub fn dearest(&self) -> Dearest {
        self.0.lock().unwrap().clone()
    }

    /// The first operation that took more than it may.
    pub fn excess(&self) -> Option<String> {
        let dearest = self.0.lock().unwrap();
        let too_dear = |(operation, took): (&Operation, &u64)| {
            let most = operation.max_requests().filter(|most| took > most)?;
            Some(format!("{operation:?} took {took} requests, at most {most}"))
        };
        dearest.iter().find_map(too_dear)
    }
}
