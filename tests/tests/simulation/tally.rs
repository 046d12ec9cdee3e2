//! The counts of events in a world. A fault that never happens tests nothing.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::costs::Operation;

macro_rules! events {
    ($($event:ident)*) => {
        /// An event of the simulation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Event {
            $($event,)*
        }

        impl Event {
            /// All events.
            pub const ALL: [Self; KINDS] = [$(Self::$event,)*];
        }

        const KINDS: usize = [$(Event::$event,)*].len();
    };
}

events! {
    RequestLost
    AnswerLost
    RequestLate
    RequestTwice
    RequestDelayed
    Throttled
    TransactionThrottled
    TransactionConflict
    ConflictOnUpdate
    ReplicaBehind
    IndexBehind
    BatchCutShort
    ConditionFailed
    UserFunctionDied
    WorkerFunctionDied
    ReconcileDied
    OperatorDied
    EffectsDied
    DispatcherDied
    WorkerCrashed
    WorkerFroze
    WorkerClockBehind
    WorkerClockAhead
    ServerClockBack
    SentAgain
    SentTwiceAtOnce
    SentWithAnotherBody
    ConcurrentWrite
    StreamBatchAgain
    StreamBatchOvertaken
    PolicyChanged
    RetriesBlock
    RetriesOvertake
    ShardAdded
    Bound
    Revoked
    AgentDisabled
    AgentDeleted
    Claimed
    Redelivered
    Done
    Failed
    Recovered
    RunTimedOut
    Retried
    DeadLettered
    RetriedByOperator
    CancelledWaiting
    CancelledRunning
    CancelledDead
    EndedCancelled
    Freed
    AttachmentResultsStored
    ClaimedWithoutAttachments
    PartArrived
    NoticeArrived
    UpdateAgain
    UpdateTwiceAtOnce
    UpdateEnqueued
    UpdateRejected
    EditApplied
    EditEnqueued
    EditIgnored
    AlbumJoined
    StoppedByPerson
    DraftShown
    ProgressShown
    TelegramAskedToWait
    DeliverySent
    DeliveryUncertain
    DeliveryFailed
    DeliveryCancelled
    DispatchersAtOnce
    PushJobChanged
    PushJobDeleted
    PushJobTriggered
    SlotEnqueued
    SlotSkipped
    SlotFailed
    TargetDispatched
    BroadcastDone
    BroadcastCancelled
    Switched
    WorkerDrained
    WorkerStopped
    StaleCallRefused
}

/// A fault in a call of an operation.
pub type Pair = (Event, Operation);

/// The count of each event.
pub struct Tally {
    counts: [AtomicU64; KINDS],
    /// The operations in whose calls each fault happened.
    pairs: Mutex<BTreeSet<Pair>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; KINDS], pairs: Mutex::default() }
    }
}

impl Tally {
    pub fn count(&self, event: Event) {
        self.counts[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a fault happened in a call of `operation`. `count` counts the fault.
    pub fn count_in(&self, event: Event, operation: Operation) {
        self.pairs.lock().unwrap().insert((event, operation));
    }

    /// The operations in whose calls each fault happened.
    pub fn pairs(&self) -> BTreeSet<Pair> {
        self.pairs.lock().unwrap().clone()
    }

    /// Adds the events of another world.
    pub fn add(&self, other: &Tally) {
        for (mine, theirs) in self.counts.iter().zip(&other.counts) {
            mine.fetch_add(theirs.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.pairs.lock().unwrap().extend(other.pairs());
    }

    pub fn of(&self, event: Event) -> u64 {
        self.counts[event as usize].load(Ordering::Relaxed)
    }

    pub fn counts(&self) -> [u64; KINDS] {
        std::array::from_fn(|kind| self.counts[kind].load(Ordering::Relaxed))
    }
}
