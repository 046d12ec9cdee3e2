//! What happened in a world, counted: a trouble that never comes proves nothing.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! events {
    ($($event:ident)*) => {
        /// What can happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($event,)*
        }

        impl Event {
            /// All of it.
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
    Overtaken
    UserFunctionDied
    WorkerFunctionDied
    ReconcileDied
    OperatorDied
    EffectsDied
    WorkerCrashed
    WorkerFroze
    WorkerClockBehind
    WorkerClockAhead
    ServerClockBack
    SentAgain
    SentTwiceAtOnce
    SentWithAnotherBody
    SentInBetween
    StreamBatchAgain
    StreamBatchOvertaken
    PolicyChanged
    RetriesBlock
    RetriesOvertake
    ShardAdded
    Claimed
    Redelivered
    Done
    Failed
    Recovered
    Retried
    DeadLettered
    RetriedByOperator
    CancelledWaiting
    CancelledRunning
    CancelledDead
    EndedCancelled
    Freed
    AttachmentsSettled
    WentOnWithoutAttachments
    Switched
    WorkerDrained
    WorkerStopped
    StaleCallRefused
}

/// How often each happened.
pub struct Tally([AtomicU64; KINDS]);

impl Default for Tally {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; KINDS])
    }
}

impl Tally {
    pub fn count(&self, event: Event) {
        self.0[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds what happened in another world.
    pub fn add(&self, other: &Tally) {
        for (mine, theirs) in self.0.iter().zip(&other.0) {
            mine.fetch_add(theirs.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    pub fn of(&self, event: Event) -> u64 {
        self.0[event as usize].load(Ordering::Relaxed)
    }

    pub fn counts(&self) -> [u64; KINDS] {
        std::array::from_fn(|kind| self.0[kind].load(Ordering::Relaxed))
    }
}
