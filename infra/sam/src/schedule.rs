//! EventBridge schedules by the virtual clock: when `dev clock` skips a minute, the schedules of that minute still
//! fire.

use std::time::Duration;

use af_domain::time::{Millis, Timestamp};
use af_runtime::clock::Clock;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::invoke::EventFunction;
use crate::tasks::{Signals, Tasks};
use af_runtime::virtual_clock::VirtualClock;

/// The longest real sleep between two reads of the clock. After a suspend, the clock of a machine is ahead, but its
/// timers have not advanced.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// A schedule of the template.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleDef {
    /// The rule's name.
    pub name: String,
    /// The time between two firings.
    pub every: Millis,
    /// Whether the schedule fires.
    pub enabled: bool,
    /// The payload; `None` means EventBridge's own event.
    pub input: Option<Value>,
}

/// A schedule that is due.
struct Firing {
    /// The rule's name.
    schedule: String,
    function: EventFunction,
    /// The payload of the call.
    payload: Value,
}

/// The schedules, each with its function and its next time.
struct Schedules(Vec<Entry>);

struct Entry {
    def: ScheduleDef,
    function: EventFunction,
    next: Timestamp,
}

impl Schedules {
    /// Starts the schedules at `start`. As with EventBridge, the first firing comes one period later.
    fn new(schedules: Vec<(ScheduleDef, EventFunction)>, start: Timestamp) -> Self {
        let enabled = schedules.into_iter().filter(|(def, _)| def.enabled);
        Self(enabled.map(|(def, function)| Entry { next: start + period(&def), def, function }).collect())
    }

    /// Returns the schedules that are due at `now`. A schedule whose period has passed several times fires once and
    /// keeps its rhythm.
    fn due(&mut self, now: Timestamp) -> Vec<Firing> {
        let due = self.0.iter_mut().filter(|entry| entry.next <= now);
        due.map(|entry| {
            let every = period(&entry.def).as_millis();
            let slots_passed = now.since(entry.next).as_millis() / every;
            let slot = entry.next + Millis::new(slots_passed * every);
            entry.next = slot + Millis::new(every);
            let payload = entry.def.input.clone().unwrap_or_else(|| scheduled_event(&entry.def.name, slot));
            Firing { schedule: entry.def.name.clone(), function: entry.function.clone(), payload }
        })
        .collect()
    }

    /// The time of the next firing; `None` if there is none.
    fn next(&self) -> Option<Timestamp> {
        self.0.iter().map(|entry| entry.next).min()
    }
}

/// The period. A period of zero would fire without end.
fn period(def: &ScheduleDef) -> Millis {
    def.every.max(Millis::new(1))
}

/// The event that EventBridge sends for a rule without an input. Its id depends only on the rule and the slot, so
/// that a repeated firing has the same event.
fn scheduled_event(rule: &str, slot: Timestamp) -> Value {
    let digest = HEXLOWER.encode(&Sha256::digest(format!("{rule}@{slot}")));
    let id = [&digest[..8], &digest[8..12], &digest[12..16], &digest[16..20], &digest[20..32]].join("-");
    let secs = i64::try_from(slot.as_secs()).unwrap_or(i64::MAX);
    // It fails only for years with more than four digits. Then the functions get the seconds since the epoch.
    let time = DateTime::from_secs(secs).fmt(Format::DateTime).unwrap_or_else(|_| secs.to_string());
    json!({
        "version": "0",
        "id": id,
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": time,
        "region": "local",
        "resources": [format!("arn:aws:events:local:000000000000:rule/{rule}")],
        "detail": {},
    })
}

/// Fires schedules by a clock that may jump. Dropping it stops it at once.
pub struct ScheduleRunner(Tasks);

impl ScheduleRunner {
    /// Starts to fire `schedules` by `clock`, which count their periods from `start`. It must be called within a Tokio
    /// runtime.
    ///
    /// A failed invocation is logged and not repeated, because the next period fires again.
    pub fn start(
        schedules: Vec<(ScheduleDef, EventFunction)>,
        start: Timestamp,
        clock: VirtualClock,
    ) -> Self {
        let schedules = Schedules::new(schedules, start);
        let mut tasks = Tasks::new();
        tasks.spawn(|signals| run(schedules, clock, signals));
        Self(tasks)
    }

    /// Resolves when all schedules that were due at this call have fired and their functions have returned.
    pub async fn settled(&self) {
        self.0.settled().await;
    }

    /// Stops the schedules and waits for running invocations, at most for their timeout.
    pub async fn stop(mut self) {
        self.0.stop().await;
    }
}

async fn run(mut schedules: Schedules, clock: VirtualClock, mut signals: Signals) {
    while !*signals.stop.borrow_and_update() {
        // This is taken before the clock is read, so that a later move of the clock ends the sleep below.
        let moved = clock.moved();
        let ask = *signals.asks.borrow_and_update();
        futures::future::join_all(schedules.due(clock.now()).into_iter().map(fire)).await;
        signals.answered.send_replace(ask);

        let sleep = schedules.next().map_or(MAX_SLEEP, |next| {
            Duration::from_millis(next.since(clock.now()).as_millis()).min(MAX_SLEEP)
        });
        tokio::select! {
            () = moved => {}
            () = tokio::time::sleep(sleep) => {}
            asked = signals.asks.changed() => if asked.is_err() { return },
            stopped = signals.stop.changed() => if stopped.is_err() { return },
        }
    }
}

async fn fire(Firing { schedule, function, payload }: Firing) {
    if let Err(error) = function.invoke(payload).await {
        tracing::error!(schedule, function = function.name(), %error, "a scheduled invocation failed");
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    const MINUTE: Millis = Millis::from_secs(60);
    /// 2026-03-01T12:00:00Z.
    const START: Timestamp = Timestamp::from_millis(1_772_366_400_000);

    fn every(name: &str, every: Millis) -> ScheduleDef {
        ScheduleDef { name: name.to_owned(), every, enabled: true, input: None }
    }

    /// Schedules whose functions are not called.
    fn idle(defs: Vec<ScheduleDef>) -> Schedules {
        let function = counted().0;
        Schedules::new(defs.into_iter().map(|def| (def, function.clone())).collect(), START)
    }

    fn names(firings: &[Firing]) -> Vec<&str> {
        firings.iter().map(|firing| firing.schedule.as_str()).collect()
    }

    #[test]
    fn a_schedule_fires_once_each_period_from_one_period_after_the_start() {
        let mut schedules = idle(vec![every("tick", MINUTE)]);
        assert_eq!(schedules.next(), Some(START + MINUTE));
        assert!(schedules.due(START).is_empty());
        assert!(schedules.due(START + Millis::new(59_999)).is_empty());
        assert_eq!(names(&schedules.due(START + MINUTE)), ["tick"]);
        assert!(schedules.due(START + MINUTE).is_empty());
        assert_eq!(names(&schedules.due(START + Millis::from_secs(120))), ["tick"]);
    }

    #[test]
    fn a_jump_of_many_periods_fires_once_and_keeps_the_rhythm() {
        let mut schedules = idle(vec![every("tick", MINUTE)]);
        let firings = schedules.due(START + Millis::from_secs(30 * 60 + 20));
        assert_eq!(firings.len(), 1);
        assert_eq!(firings[0].payload["time"], "2026-03-01T12:30:00Z", "the latest slot that has passed");
        assert_eq!(schedules.next(), Some(START + Millis::from_secs(31 * 60)));
    }

    #[test]
    fn each_schedule_has_its_own_period_and_a_disabled_one_never_fires() {
        let hourly = every("hourly", Millis::from_secs(3_600));
        let off = ScheduleDef { enabled: false, ..every("off", Millis::new(1)) };
        let mut schedules = idle(vec![every("tick", MINUTE), hourly, off]);
        assert_eq!(names(&schedules.due(START + MINUTE)), ["tick"]);
        assert_eq!(names(&schedules.due(START + Millis::from_secs(3_600))), ["tick", "hourly"]);
        let nothing = ScheduleDef { enabled: false, ..every("off", MINUTE) };
        assert_eq!(idle(vec![nothing]).next(), None);
    }

    #[test]
    fn the_payload_is_eventbridges_event_or_the_declared_input() {
        let input = ScheduleDef { input: Some(json!({"page": 1})), ..every("input", MINUTE) };
        let mut schedules = idle(vec![every("tick", MINUTE), input]);
        let firings = schedules.due(START + MINUTE);
        assert_eq!(firings[1].payload, json!({"page": 1}));
        let event = &firings[0].payload;
        assert_eq!(event["detail-type"], "Scheduled Event");
        assert_eq!(event["source"], "aws.events");
        assert_eq!(event["time"], "2026-03-01T12:01:00Z");
        assert_eq!(event["resources"], json!(["arn:aws:events:local:000000000000:rule/tick"]));
        let id = event["id"].as_str().unwrap();
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        let next = schedules.due(START + Millis::from_secs(120));
        assert_ne!(next[0].payload["id"], event["id"]);
    }

    fn counted() -> (EventFunction, mpsc::UnboundedReceiver<Value>) {
        let (calls, called) = mpsc::unbounded_channel();
        let function = EventFunction::new("Reconcile", MINUTE, move |event: Value| {
            calls.send(event).unwrap();
            async { anyhow::Ok(Value::Null) }
        });
        (function, called)
    }

    #[tokio::test]
    async fn a_moved_clock_fires_the_schedules_that_became_due() {
        let clock = VirtualClock::frozen_at(START);
        let (function, mut called) = counted();
        let schedules = vec![(every("tick", MINUTE), function)];
        let runner = ScheduleRunner::start(schedules, START, clock.clone());
        runner.settled().await;
        assert!(called.try_recv().is_err());
        clock.advance(Millis::from_secs(61));
        assert_eq!(called.recv().await.unwrap()["time"], "2026-03-01T12:01:00Z");
        clock.advance(Millis::from_secs(1_800));
        runner.settled().await;
        assert_eq!(called.try_recv().unwrap()["time"], "2026-03-01T12:31:00Z");
        assert!(called.try_recv().is_err());
        runner.stop().await;
    }

    #[tokio::test]
    async fn settled_waits_for_the_function_and_a_failure_does_not_stop_the_schedule() {
        let clock = VirtualClock::frozen_at(START);
        let (calls, mut called) = mpsc::unbounded_channel();
        let function = EventFunction::new("Reconcile", MINUTE, move |_| {
            let calls = calls.clone();
            async move {
                tokio::task::yield_now().await;
                calls.send(())?;
                Err::<Value, _>(anyhow::anyhow!("not today"))
            }
        });
        let schedules = vec![(every("tick", MINUTE), function)];
        let runner = ScheduleRunner::start(schedules, START, clock.clone());
        for _ in 0..3 {
            clock.advance(MINUTE);
            runner.settled().await;
            assert!(called.try_recv().is_ok());
        }
    }
}
