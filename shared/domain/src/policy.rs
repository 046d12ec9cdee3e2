//! Policies: every number that tunes the system, with its default and its bounds.
//!
//! A deployment overrides single fields at run time; what is not overridden keeps its default. `FIELDS` is the
//! one catalogue from which validation, the API's view and the defaults are read.

use std::ops::RangeInclusive;

use crate::time::Millis;

/// Whether a message that waits for its retry holds back the rest of its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRetry {
    /// It keeps its place and is the head until it is terminal.
    Block,
    /// Others pass it while it waits.
    Overtake,
}

/// One field's value, as it is set and shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// A whole number (a count, or milliseconds where the field's name ends in `Ms`).
    Number(u64),
    /// A ratio.
    Ratio(f64),
    /// One word of a closed list.
    Word(&'static str),
}

/// What a field accepts.
#[derive(Clone, Debug)]
pub enum Bounds {
    /// A whole number in this range.
    Number(RangeInclusive<u64>),
    /// A ratio in this range.
    Ratio(RangeInclusive<f64>),
    /// One of these words.
    Words(&'static [&'static str]),
}

/// A value that a policy field refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No field of that name.
    #[error("there is no policy {0}")]
    Unknown(String),
    /// The value is of the wrong kind or out of bounds; the text names the field and what it accepts.
    #[error("{field} must be {accepts}")]
    OutOfBounds {
        /// `group.field`
        field: String,
        /// What the field accepts, in words.
        accepts: String,
    },
}

/// A value as a caller gave it, before the catalogue has checked it.
#[derive(Clone, Debug, PartialEq)]
pub enum Given<'a> {
    /// A number.
    Number(f64),
    /// A text.
    Text(&'a str),
    /// Anything else.
    Other,
}

/// One entry of the catalogue.
pub struct Field {
    /// The group it belongs to, as in the API (`queue`).
    pub group: &'static str,
    /// Its name within the group, as in the API (`defaultPriority`).
    pub name: &'static str,
    /// What it accepts.
    pub bounds: Bounds,
    /// Reads it.
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

        /// The catalogue: every field, its bounds, how to read and set it.
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

/// How often a worker's sign of life is written at most. Each costs a write unit; staleness is judged by minutes.
pub const SIGN_OF_LIFE_EVERY: Millis = Millis::from_secs(60);

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Ten years: longer than any retention anybody means.
const LONG: u64 = 3_650 * DAY;

policies! {
    /// How messages queue.
    queue "queue" QueuePolicy {
        /// Priority of a message that names none; higher runs first.
        default_priority: count "defaultPriority" = 50, 0..=100;
        /// Whether a retry holds back its conversation.
        on_retry: on_retry "onRetry" = OnRetry::Block, &["block", "overtake"];
        /// How long a finished message stays readable.
        done_retention_days: count "doneRetentionDays" = 30, 9..=3_650;
        /// How many messages may wait in one conversation; the next one is answered 429.
        pending_per_conversation_max: count "maxPendingPerConversation" = 200, 1..=200;
        /// Over how many partitions the ready index is spread.
        ready_shards: count "readyShards" = 1, 1..=16;
    }
    /// How failures are tried again.
    retry "retry" RetryPolicy {
        /// Claims that a message gets before it is a dead letter.
        attempts_max: count "maxAttempts" = 5, 1..=100;
        /// Wait after the first failed attempt.
        base_delay: ms "baseDelayMs" = Millis::new(SECOND), 0..=HOUR;
        /// What the wait grows by with each further attempt.
        backoff_factor: ratio "backoffFactor" = 2.0, 1.0..=10.0;
        /// Longest wait.
        delay_max: ms "maxDelayMs" = Millis::new(120 * SECOND), 0..=DAY;
        /// Random share added to the wait, so that retries do not march in step.
        jitter_ratio: ratio "jitterRatio" = 0.1, 0.0..=1.0;
    }
    /// How long a claim lasts and when its worker counts as gone.
    lease "lease" LeasePolicy {
        /// Length of a lease from its claim or last heartbeat.
        lease: ms "leaseMs" = Millis::new(90 * SECOND), (5 * SECOND)..=HOUR;
        /// What the server tells a worker to wait between heartbeats.
        heartbeat_interval: ms "heartbeatIntervalMs" = Millis::new(15 * SECOND), SECOND..=(10 * MINUTE);
        /// Silence after which a worker is stale.
        stale_after: ms "staleAfterMs" = Millis::new(120 * SECOND), (5 * SECOND)..=(2 * HOUR);
        /// Silence allowed from registration to the first sign of life.
        boot_grace: ms "bootGraceMs" = Millis::new(600 * SECOND), (10 * SECOND)..=HOUR;
    }
    /// How often workers ask for work.
    poll "poll" PollPolicy {
        /// Between polls while there was work lately.
        active: ms "activeMs" = Millis::new(SECOND), 100..=MINUTE;
        /// Between polls when idle.
        idle: ms "idleMs" = Millis::new(10 * SECOND), 100..=(10 * MINUTE);
        /// Quiet time after which a worker counts as idle.
        idle_after: ms "idleAfterMs" = Millis::new(300 * SECOND), 0..=DAY;
    }
    /// How the pool grows and shrinks.
    scaling "scaling" ScalingPolicy {
        /// Most workers alive at once.
        workers_max: count "maxWorkers" = 10, 0..=1_000;
        /// Most workers started in one reconcile run.
        spawn_step: count "spawnStep" = 3, 1..=100;
        /// Workers kept although nobody talks.
        idle_workers_min: count "minIdleWorkers" = 0, 0..=1_000;
        /// Quiet time after which a worker is drained.
        idle_timeout: ms "idleTimeoutMs" = Millis::new(1_800 * SECOND), MINUTE..=(7 * DAY);
        /// Longest a draining worker may take.
        drain_timeout: ms "drainTimeoutMs" = Millis::new(300 * SECOND), SECOND..=HOUR;
        /// How long after registration a machine may be missing at the provider.
        provider_grace: ms "providerGraceMs" = Millis::new(90 * SECOND), 0..=HOUR;
        /// Quiet time after which a worker gives its place to a waiting conversation when the pool is full.
        switch_after_quiet: ms "switchAfterQuietMs" = Millis::new(MINUTE), 0..=DAY;
    }
    /// How much of a conversation a worker is handed.
    hydration "hydration" HydrationPolicy {
        /// Most history entries in a bundle.
        context_messages_max: count "maxContextMessages" = 64, 1..=500;
        /// Most estimated tokens of history in a bundle.
        context_tokens_max: count "maxContextTokens" = 16_000, 100..=2_000_000;
    }
    /// How long things are kept.
    retention "retention" RetentionPolicy {
        /// Snapshots that a newer one has replaced.
        snapshot: ms "snapshotMs" = Millis::from_days(7), HOUR..=LONG;
        /// Attachments.
        attachment: ms "attachmentMs" = Millis::from_days(7), HOUR..=LONG;
        /// How long a message id is remembered for deduplication.
        dedupe: ms "dedupeMs" = Millis::from_days(8), DAY..=(400 * DAY);
    }
}

impl Bounds {
    /// What is accepted, in words.
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
    /// `Unknown` for a field that does not exist, `OutOfBounds` naming the field and what it accepts.
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

    /// Rules between fields: a lease must outlast its heartbeats, and staleness the lease's renewals.
    ///
    /// # Errors
    /// `OutOfBounds` naming the field to change.
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
        let silence = SIGN_OF_LIFE_EVERY.as_millis() + self.poll.idle.as_millis();
        if self.lease.stale_after.as_millis() <= silence {
            let accepts = format!("above {silence}: an idle worker's sign of life is written that seldom");
            return Err(rule("lease.staleAfterMs", accepts));
        }
        Ok(())
    }

    /// The wait before attempt number `attempts + 1`; `jitter` is a random number in `0.0..1.0`.
    pub fn retry_delay(&self, attempts: u32, jitter: f64) -> Millis {
        let RetryPolicy { base_delay, backoff_factor, delay_max, jitter_ratio, .. } = &self.retry;
        let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        #[allow(clippy::cast_precision_loss, reason = "delays are far below 2^53 ms")]
        let plain =
            (base_delay.as_millis() as f64 * backoff_factor.powi(exponent)).min(delay_max.as_millis() as f64);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded by twice delay_max"
        )]
        let whole = (plain * (1.0 + jitter_ratio * jitter)) as u64;
        Millis::new(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_lies_within_its_own_bounds() {
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
    fn a_bad_value_names_its_field_and_bounds() {
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
    fn retry_delays_double_up_to_their_limit_and_jitter_only_adds() {
        let policies = Policies::default();
        let delays: Vec<u64> = (1..=9).map(|a| policies.retry_delay(a, 0.0).as_millis()).collect();
        assert_eq!(delays, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 120_000, 120_000]);
        assert_eq!(policies.retry_delay(1, 0.5).as_millis(), 1_050);
        assert_eq!(policies.retry_delay(u32::MAX, 1.0).as_millis(), 132_000);
    }

    #[test]
    fn a_lease_must_outlast_its_heartbeats() {
        let mut policies = Policies::default();
        policies.set("lease", "heartbeatIntervalMs", &Given::Number(60_000.0)).unwrap();
        assert!(policies.check().unwrap_err().to_string().contains("lease.heartbeatIntervalMs"));
    }

    #[test]
    fn an_idle_worker_speaks_more_often_than_it_goes_stale() {
        let mut policies = Policies::default();
        policies.set("lease", "leaseMs", &Given::Number(60_000.0)).unwrap();
        policies.set("lease", "staleAfterMs", &Given::Number(70_000.0)).unwrap();
        assert!(policies.check().unwrap_err().to_string().contains("lease.staleAfterMs"));
        policies.set("lease", "staleAfterMs", &Given::Number(70_001.0)).unwrap();
        policies.check().unwrap();
    }
}
