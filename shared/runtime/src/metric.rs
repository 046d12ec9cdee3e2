//! The metrics of a deployment.
//!
//! A metric is recorded as an event of `tracing` with the target [`TARGET`]. On AWS, `af_http` writes each of these
//! events as a line in CloudWatch's embedded metric format, at every log level. Anywhere else they are log lines at the
//! level debug. No metric has a dimension, so that their number, and their price, does not grow with agents or users.

/// The target of the events that record metrics.
pub const TARGET: &str = "af_metric";

/// The unit of a metric, as CloudWatch names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A duration.
    Milliseconds,
}

impl Unit {
    /// The name at CloudWatch.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

/// How the values of a period are combined into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// The values are added: the metric counts events.
    Sum,
    /// The largest value: the metric is a state that is observed again and again.
    Maximum,
    /// The value below which 95 of 100 values are: the metric is a duration.
    P95,
}

impl Statistic {
    /// The name at CloudWatch.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "Sum",
            Self::Maximum => "Maximum",
            Self::P95 => "p95",
        }
    }
}

macro_rules! metrics {
    ($($group:literal { $(#[doc = $text:literal] $name:ident: $unit:ident, $statistic:ident;)+ })+) => {
        /// A metric. This list is complete: no other metric exists.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric {
            $($(#[doc = $text] $name,)+)+
        }

        impl Metric {
            /// All metrics.
            pub const ALL: &[Self] = &[$($(Self::$name,)+)+];

            /// The name at CloudWatch.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(Self::$name => stringify!($name),)+)+
                }
            }

            /// The unit of its values.
            pub const fn unit(self) -> Unit {
                match self {
                    $($(Self::$name => Unit::$unit,)+)+
                }
            }

            /// How its values are combined.
            pub const fn statistic(self) -> Statistic {
                match self {
                    $($(Self::$name => Statistic::$statistic,)+)+
                }
            }

            /// The heading of the part of the dashboard that shows it.
            pub const fn group(self) -> &'static str {
                match self {
                    $($(Self::$name => $group,)+)+
                }
            }

            /// The meaning, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $($(Self::$name => $text.trim_ascii(),)+)+
                }
            }
        }
    };
}

metrics! {
    "Messages" {
        /// Messages that were accepted into the queue.
        MessageEnqueued: Count, Sum;
        /// Messages that have ended as done.
        MessageDone: Count, Sum;
        /// Attempts that ended without success and are followed by a retry.
        AttemptFailed: Count, Sum;
        /// Messages that have become dead letters.
        MessageDeadLettered: Count, Sum;
        /// Leases that ended without their worker, because they expired, the worker is gone, or the run took too long.
        LeaseExpired: Count, Sum;
        /// Claims that failed because another call was faster.
        ClaimLost: Count, Sum;
    }
    "Queue" {
        /// Messages that wait and are due, or wait behind another message.
        MessagesReady: Count, Maximum;
        /// Messages that wait for their scheduled time.
        MessagesScheduled: Count, Maximum;
        /// Messages that run.
        MessagesProcessing: Count, Maximum;
        /// Dead letters that were neither retried nor deleted.
        DeadLetters: Count, Maximum;
    }
    "Times" {
        /// Time for which the message that has waited longest has been due; 0 when none waits.
        OldestWaitingAge: Milliseconds, Maximum;
        /// Time from the moment at which a message is due to its claim.
        ClaimWait: Milliseconds, P95;
        /// Time from the claim of an attempt to its end.
        ProcessingTime: Milliseconds, P95;
        /// Duration of a reconcile.
        ReconcileDuration: Milliseconds, P95;
    }
    "Workers" {
        /// Workers that serve conversations, or could.
        WorkersActive: Count, Maximum;
        /// Workers that end their work.
        WorkersDraining: Count, Maximum;
        /// Workers whose machine is being removed.
        WorkersStopping: Count, Maximum;
        /// Conversations that want a worker and get none, because the pool is full or the provider starts none.
        ConversationsUnserved: Count, Maximum;
        /// Workers that the provider has started.
        WorkerStarted: Count, Sum;
        /// Workers whose machine and volume were removed.
        WorkerRemoved: Count, Sum;
    }
    "Failures of the pool" {
        /// Reconciles that lack something, for example the token of the provider.
        ReconcileIncomplete: Count, Sum;
        /// Workers that could not be started.
        SpawnFailed: Count, Sum;
        /// Cool-downs that began, because the provider failed three times in a row to start a worker.
        SpawnCoolDown: Count, Sum;
        /// Removals of workers that failed and are repeated.
        TeardownFailed: Count, Sum;
        /// Calls that the provider answered with an error.
        ProviderError: Count, Sum;
        /// Calls that the provider refused because of its rate limit.
        ProviderThrottled: Count, Sum;
        /// Rows of workers that cannot be read.
        WorkerUnreadable: Count, Sum;
        /// Machines and volumes without a worker that were removed.
        OrphanRemoved: Count, Sum;
    }
    "Telegram" {
        /// Replies and notices that have arrived.
        DeliverySent: Count, Sum;
        /// Replies and notices that may have arrived or not.
        DeliveryUncertain: Count, Sum;
        /// Replies and notices that Telegram has refused.
        DeliveryFailed: Count, Sum;
        /// Replies and notices that were not sent, because the chat is no longer that of the user.
        DeliveryCancelled: Count, Sum;
        /// Replies and notices that an operator has removed.
        DeliveryDropped: Count, Sum;
        /// Waits before a reply or notice is sent again, because Telegram asked for it or did not answer.
        DeliveryDelayed: Count, Sum;
        /// Attachments that could not be fetched.
        AttachmentFailed: Count, Sum;
        /// Managed bots that could not be connected.
        ManagedBotFailed: Count, Sum;
    }
    "Callers" {
        /// Calls of the webhook with an unknown bot or a wrong secret.
        WebhookRejected: Count, Sum;
        /// Updates that became no message.
        WebhookIgnored: Count, Sum;
        /// Updates that Telegram has sent again.
        WebhookDuplicate: Count, Sum;
        /// Calls without a valid key or token.
        AuthRejected: Count, Sum;
    }
    "Push and files" {
        /// Messages that push jobs have enqueued at their times.
        PushEnqueued: Count, Sum;
        /// Slots of push jobs that failed.
        PushFailed: Count, Sum;
        /// Push jobs whose next run cannot be computed.
        PushScheduleError: Count, Sum;
        /// Push jobs and broadcasts that were interrupted by an error and are tried again.
        PushDispatchError: Count, Sum;
        /// Runs of push-dispatch that had no time for all their work.
        PushDispatchUnfinished: Count, Sum;
        /// Archives that a worker could not upload because they are too large.
        SnapshotTooLarge: Count, Sum;
        /// Workers that left without the final snapshot that they owed.
        SnapshotMissed: Count, Sum;
    }
}

impl Metric {
    /// The metric with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|metric| metric.name() == name)
    }

    /// Records one event.
    pub fn count(self) {
        self.record(1);
    }

    /// Records a number of events, if there are any.
    pub fn add(self, events: u64) {
        if events > 0 {
            self.record(events);
        }
    }

    /// Records a value.
    pub fn record(self, value: u64) {
        tracing::debug!(target: TARGET, metric = self.name(), value);
    }
}
