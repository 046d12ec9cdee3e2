//! Policies: every tunable number of the system, with its default and its bounds.
//!
//! A deployment overrides single fields at run time. Every other field keeps its default. `FIELDS` is the
//! single catalogue from which validation, the API view and the defaults are read.

use std::ops::RangeInclusive;

use crate::time::Millis;

/// Whether a message that waits for its retry blocks the rest of its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRetry {
    /// The message keeps its position and is the head until it reaches a final state.
    Block,
    /// Other messages run while it waits.
    Overtake,
}

/// The value of a field, as it is set and shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// A whole number: a count, or milliseconds if the field name ends in `Ms`.
    Number(u64),
    /// A ratio.
    Ratio(f64),
    /// One word of a closed list.
    Word(&'static str),
}

/// The values that a field accepts.
#[derive(Clone, Debug)]
pub enum Bounds {
    /// A whole number in this range.
    Number(RangeInclusive<u64>),
    /// A ratio in this range.
    Ratio(RangeInclusive<f64>),
    /// One of these words.
    Words(&'static [&'static str]),
}

/// The reason why a policy field rejects a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No field has this name.
    #[error("there is no policy {0}")]
    Unknown(String),
    /// The value has the wrong type or is out of bounds. The text names the field and the accepted values.
    #[error("{field} must be {accepts}")]
    OutOfBounds {
        /// `group.field`
        field: String,
        /// The accepted values, in words.
        accepts: String,
    },
}

/// A value of a request, before the catalogue has checked it.
#[derive(Clone, Debug, PartialEq)]
pub enum Given<'a> {
    /// A number.
    Number(f64),
    /// A text.
    Text(&'a str),
    /// Any other type.
    Other,
}

/// An entry of the catalogue.
pub struct Field {
    /// The group of the field, as in the API (`queue`).
    pub group: &'static str,
    /// The name of the field within its group, as in the API (`defaultPriority`).
    pub name: &'static str,
    /// The accepted values.
    pub bounds: Bounds,
    /// Reads the field.
    pub get: fn(&Policies) -> Setting,
    set: fn(&mut Policies, &Setting),
}

macro_rules! policies {
    ($( $(#[$gdoc:meta])* $group:ident $gname:literal $gtype:ident { $( $(#[$doc:meta])* $field:ident : $kind:ident $name:literal = $default:expr, $bounds:expr; )* } )*) => {
        $( $(#[$gdoc])* #[derive(Clone, Debug, PartialEq)] pub struct $gtype { $( $(#[$doc])* pub $field: policies!(@type $kind), )* }
        impl Default for $gtype { fn default() -> Self { Self { $( $field: $default, )* } } } )*

        /// All policies in force.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Policies { $( $(#[$gdoc])* pub $group: $gtype, )* }

        /// The catalogue: every field, its bounds, and how to read and set it.
        pub static FIELDS: &[Field] = &[ $( $( Field { group: $gname, name: $name, bounds: policies!(@bounds $kind $bounds),
            get: |p| policies!(@get $kind p.$group.$field), set: |p, s| policies!(@set $kind p.$group.$field, s) }, )* )* ];
    };
    (@type count) => { u64 }; (@type ms) => { Millis }; (@type ratio) => { f64 }; (@type on_retry) => { OnRetry };
    (@bounds count $b:expr) => { Bounds::Number($b) }; (@bounds ms $b:expr) => { Bounds::Number($b) };
    (@bounds ratio $b:expr) => { Bounds::Ratio($b) }; (@bounds on_retry $b:expr) => { Bounds::Words($b) };
    (@get count $e:expr) => { Setting::Number($e) }; (@get ms $e:expr) => { Setting::Number($e.as_millis()) };
    (@get ratio $e:expr) => { Setting::Ratio($e) };
    (@get on_retry $e:expr) => { Setting::Word(match $e { OnRetry::Block => "block", OnRetry::Overtake => "overtake" }) };
    (@set count $e:expr, $s:expr) => { if let Setting::Number(n) = $s { $e = *n } };
    (@set ms $e:expr, $s:expr) => { if let Setting::Number(n) = $s { $e = Millis::new(*n) } };
    (@set ratio $e:expr, $s:expr) => { if let Setting::Ratio(r) = $s { $e = *r } };
    (@set on_retry $e:expr, $s:expr) => { if let Setting::Word(w) = $s { $e = if *w == "overtake" { OnRetry::Overtake } else { OnRetry::Block } } };
}

/// The shortest interval between two writes of a worker's last-seen time. Each write costs a write unit, and
/// staleness is judged in minutes.
pub const SIGN_OF_LIFE_INTERVAL: Millis = Millis::from_secs(60);

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Ten years, longer than any realistic retention.
const LONG: u64 = 3_650 * DAY;

policies! {
    /// How messages queue.
    queue "queue" QueuePolicy {
        /// The priority of a message that names none. A higher priority runs first.
        default_priority: count "defaultPriority" = 50, 0..=100;
        /// Whether a retry blocks its conversation.
        on_retry: on_retry "onRetry" = OnRetry::Block, &["block", "overtake"];
        /// How long an ended message stays readable.
        done_retention_days: count "doneRetentionDays" = 30, 9..=3_650;
        /// How many messages may wait in one conversation. The next one is refused with 429.
        max_pending_per_conversation: count "maxPendingPerConversation" = 200, 1..=200;
        /// The number of partitions of the ready index.
        ready_shards: count "readyShards" = 1, 1..=16;
    }
    /// How failed attempts are retried.
    retry "retry" RetryPolicy {
        /// The number of claims of a message before it becomes a dead letter.
        max_attempts: count "maxAttempts" = 8, 1..=100;
        /// The delay after the first failed attempt.
        base_delay: ms "baseDelayMs" = Millis::new(2 * SECOND), 0..=HOUR;
        /// The factor by which the delay grows with each further attempt.
        backoff_factor: ratio "backoffFactor" = 3.0, 1.0..=10.0;
        /// The longest delay.
        max_delay: ms "maxDelayMs" = Millis::new(600 * SECOND), 0..=DAY;
        /// The random share added to the delay, so that retries do not coincide.
        jitter_ratio: ratio "jitterRatio" = 0.1, 0.0..=1.0;
    }
    /// How long a lease lasts and when its worker counts as gone.
    lease "lease" LeasePolicy {
        /// The duration of a lease from its claim or last heartbeat.
        lease: ms "leaseMs" = Millis::new(90 * SECOND), (5 * SECOND)..=HOUR;
        /// The interval of heartbeats that the server tells a worker.
        heartbeat_interval: ms "heartbeatIntervalMs" = Millis::new(15 * SECOND), SECOND..=(10 * MINUTE);
        /// The silence after which a worker is stale.
        stale_after: ms "staleAfterMs" = Millis::new(120 * SECOND), (5 * SECOND)..=(2 * HOUR);
        /// The silence allowed from registration to the first sign of life.
        boot_grace: ms "bootGraceMs" = Millis::new(600 * SECOND), (10 * SECOND)..=HOUR;
        /// The longest run of a message. A longer run ends as a failed attempt that is not retried.
        max_run: ms "maxRunMs" = Millis::new(30 * MINUTE), MINUTE..=DAY;
    }
    /// How often workers poll.
    poll "poll" PollPolicy {
        /// The poll interval while there was work recently.
        active: ms "activeMs" = Millis::new(SECOND), 100..=MINUTE;
        /// The poll interval when idle.
        idle: ms "idleMs" = Millis::new(10 * SECOND), 100..=(10 * MINUTE);
        /// The quiet time after which a worker counts as idle.
        idle_after: ms "idleAfterMs" = Millis::new(300 * SECOND), 0..=DAY;
        /// How long a poll may wait for a message before it is answered. 0 answers at once. A function that waits is paid
        /// for, and looks at the table once a second. `dev` always allows the longest wait.
        max_wait: ms "maxWaitMs" = Millis::new(0), 0..=(20 * SECOND);
    }
    /// How the pool grows and shrinks.
    scaling "scaling" ScalingPolicy {
        /// The maximum number of live workers.
        max_workers: count "maxWorkers" = 10, 0..=1_000;
        /// The maximum number of workers started in one reconcile run.
        spawn_step: count "spawnStep" = 3, 1..=100;
        /// The number of workers kept without any work.
        min_idle_workers: count "minIdleWorkers" = 0, 0..=1_000;
        /// The quiet time after which a worker is drained.
        idle_timeout: ms "idleTimeoutMs" = Millis::new(1_800 * SECOND), MINUTE..=(7 * DAY);
        /// The longest duration of a drain.
        drain_timeout: ms "drainTimeoutMs" = Millis::new(300 * SECOND), SECOND..=HOUR;
        /// How long a machine may be missing at the provider after registration.
        provider_grace: ms "providerGraceMs" = Millis::new(90 * SECOND), 0..=HOUR;
        /// The quiet time after which a worker releases its conversation to a waiting one when the pool is
        /// full.
        switch_after_quiet: ms "switchAfterQuietMs" = Millis::new(MINUTE), 0..=DAY;
    }
    /// How much of a conversation a worker receives.
    hydration "hydration" HydrationPolicy {
        /// The maximum number of history entries in a bundle.
        max_context_messages: count "maxContextMessages" = 64, 1..=500;
        /// The maximum number of estimated history tokens in a bundle.
        max_context_tokens: count "maxContextTokens" = 16_000, 100..=2_000_000;
        /// The number of days, today included, whose memory documents are in a bundle.
        memory_days: count "memoryDays" = 7, 0..=366;
        /// The maximum number of bytes of all documents that are in a bundle with their content. A Lambda response has room
        /// for 1 MB of them, and characters may take four bytes there.
        max_document_bytes: count "maxDocumentBytes" = 262_144, 1_024..=262_144;
    }
    /// How long data is kept.
    retention "retention" RetentionPolicy {
        /// Snapshots that were replaced by a newer one.
        snapshot: ms "snapshotMs" = Millis::from_days(7), HOUR..=LONG;
        /// Attachments.
        attachment: ms "attachmentMs" = Millis::from_days(7), HOUR..=LONG;
        /// How long a message id is kept for deduplication.
        dedupe: ms "dedupeMs" = Millis::from_days(8), DAY..=(400 * DAY);
        /// Records of dispatches of push jobs and broadcasts.
        dispatch: ms "dispatchMs" = Millis::from_days(90), DAY..=LONG;
    }
}

impl Bounds {
    /// The accepted values, in words.
    pub fn describe(&self) -> String {
        match self {
            Bounds::Number(range) => format!("a whole number from {} to {}", range.start(), range.end()),
            Bounds::Ratio(range) => format!("a number from {} to {}", range.start(), range.end()),
            Bounds::Words(words) => format!("one of {}", words.join(", ")),
        }
    }

    fn check(&self, given: &Given<'_>) -> Option<Setting> {
        match (self, given) {
            (Bounds::Number(range), Given::Number(n)) => {
                let whole = n.fract() == 0.0 && *n >= 0.0 && *n <= 9e15;
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "checked to be a whole number that fits"
                )]
                let value = *n as u64;
                (whole && range.contains(&value)).then_some(Setting::Number(value))
            }
            (Bounds::Ratio(range), Given::Number(n)) => range.contains(n).then_some(Setting::Ratio(*n)),
            (Bounds::Words(words), Given::Text(text)) => {
                words.iter().find(|w| *w == text).map(|w| Setting::Word(w))
            }
            _ => None,
        }
    }
}

impl Policies {
    /// Sets `group.name` to `given`.
    ///
    /// # Errors
    /// Returns `Unknown` for a field that does not exist, or `OutOfBounds` with the field and its accepted
    /// values.
    pub fn set(&mut self, group: &str, name: &str, given: &Given<'_>) -> Result<(), PolicyError> {
        let path = format!("{group}.{name}");
        let Some(field) = FIELDS.iter().find(|f| f.group == group && f.name == name) else {
            return Err(PolicyError::Unknown(path));
        };
        let Some(setting) = field.bounds.check(given) else {
            return Err(PolicyError::OutOfBounds { field: path, accepts: field.bounds.describe() });
        };
        (field.set)(self, &setting);
        Ok(())
    }

    /// Checks the rules between fields: a lease must outlast its heartbeats, and a worker must not become stale
    /// before its lease expires. The error names the field to change.
    pub fn check(&self) -> Result<(), PolicyError> {
        let lease = self.lease.lease.as_millis();
        let rule = |field: &str, accepts: String| PolicyError::OutOfBounds { field: field.into(), accepts };
        if self.lease.heartbeat_interval.as_millis() * 3 > lease {
            return Err(rule(
                "lease.heartbeatIntervalMs",
                format!("at most a third of lease.leaseMs ({lease})"),
            ));
        }
        if self.lease.stale_after.as_millis() < lease {
            return Err(rule("lease.staleAfterMs", format!("at least lease.leaseMs ({lease})")));
        }
        let silence = SIGN_OF_LIFE_INTERVAL.as_millis() + self.poll.idle.as_millis();
        if self.lease.stale_after.as_millis() <= silence {
            let accepts = format!(
                "above {silence}, the longest interval between two writes of an idle worker's sign of life"
            );
            return Err(rule("lease.staleAfterMs", accepts));
        }
        Ok(())
    }

    /// The delay before attempt number `attempts + 1`. `jitter` is a random number in `0.0..1.0`.
    pub fn retry_delay(&self, attempts: u32, jitter: f64) -> Millis {
        let RetryPolicy { base_delay, backoff_factor, max_delay, jitter_ratio, .. } = &self.retry;
        let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        #[allow(clippy::cast_precision_loss, reason = "delays are far below 2^53 ms")]
        let plain =
            (base_delay.as_millis() as f64 * backoff_factor.powi(exponent)).min(max_delay.as_millis() as f64);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded by twice max_delay"
        )]
        let whole = (plain * (1.0 + jitter_ratio * jitter)) as u64;
        Millis::new(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_retries_survive_an_outage_of_ten_minutes() {
        let policies = Policies::default();
        assert_eq!(policies.retry.max_attempts, 8);
        let waits = (1..8).map(|attempts| policies.retry_delay(attempts, 0.0));
        let total: u64 = waits.map(Millis::as_millis).sum();
        assert!(total >= 10 * 60 * SECOND, "the last attempt comes {total} ms after the first");
    }

    #[test]
    fn every_default_is_within_its_bounds() {
        let defaults = Policies::default();
        for field in FIELDS {
            let given = match (field.get)(&defaults) {
                Setting::Number(n) => Given::Number(n as f64),
                Setting::Ratio(r) => Given::Number(r),
                Setting::Word(w) => Given::Text(w),
            };
            Policies::default().set(field.group, field.name, &given).unwrap();
        }
        defaults.check().unwrap();
    }

    #[test]
    fn an_invalid_value_is_refused_with_its_field_and_bounds() {
        let mut policies = Policies::default();
        let error = policies.set("queue", "defaultPriority", &Given::Number(101.0)).unwrap_err();
        assert_eq!(error.to_string(), "queue.defaultPriority must be a whole number from 0 to 100");
        let error = policies.set("queue", "onRetry", &Given::Text("never")).unwrap_err();
        assert_eq!(error.to_string(), "queue.onRetry must be one of block, overtake");
        assert!(policies.set("queue", "colour", &Given::Number(1.0)).is_err());
        assert_eq!(policies, Policies::default());
    }

    #[test]
    fn the_original_systems_values_are_allowed() {
        let mut p = Policies::default();
        for (group, name, n) in [
            ("lease", "leaseMs", 360_000.0),
            ("lease", "staleAfterMs", 420_000.0),
            ("scaling", "maxWorkers", 1.0),
            ("scaling", "spawnStep", 1.0),
        ] {
            p.set(group, name, &Given::Number(n)).unwrap();
        }
        p.check().unwrap();
    }

    #[test]
    fn retry_delays_grow_up_to_their_limit_and_jitter_only_adds() {
        let policies = Policies::default();
        let delays: Vec<u64> = (1..=9).map(|a| policies.retry_delay(a, 0.0).as_millis()).collect();
        assert_eq!(delays, [2_000, 6_000, 18_000, 54_000, 162_000, 486_000, 600_000, 600_000, 600_000]);
        assert_eq!(policies.retry_delay(1, 0.5).as_millis(), 2_100);
        assert_eq!(policies.retry_delay(u32::MAX, 1.0).as_millis(), 660_000);
    }

    #[test]
    fn a_lease_must_outlast_its_heartbeats() {
        let mut policies = Policies::default();
        policies.set("lease", "heartbeatIntervalMs", &Given::Number(60_000.0)).unwrap();
        assert!(policies.check().unwrap_err().to_string().contains("lease.heartbeatIntervalMs"));
    }

    #[test]
    fn stale_after_must_exceed_the_interval_of_an_idle_workers_sign_of_life() {
        let mut policies = Policies::default();
        policies.set("lease", "leaseMs", &Given::Number(60_000.0)).unwrap();
        policies.set("lease", "staleAfterMs", &Given::Number(70_000.0)).unwrap();
        assert!(policies.check().unwrap_err().to_string().contains("lease.staleAfterMs"));
        policies.set("lease", "staleAfterMs", &Given::Number(70_001.0)).unwrap();
        policies.check().unwrap();
    }
}
