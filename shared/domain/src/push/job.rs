//! Push jobs: a text for one user, and when it is sent.

use super::check_words;
use super::schedule::{Schedule, ScheduleError, Slot, next_slot};
use super::zone::ZoneName;
use crate::ids::{AgentKey, CompanyId, ConsumerUserId, PushJobId, PushTemplateId, RunKey};
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Most push jobs of one user with one agent.
pub const MAX_JOBS_OF_AGENT: u64 = 100;
/// Most missed slots that one transaction records. DynamoDB allows 100 writes, and the job takes one of them.
pub const MAX_SKIPPED_AT_ONCE: usize = 90;

/// A push job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushJob {
    /// The id.
    pub id: PushJobId,
    /// The company that it belongs to.
    pub company: CompanyId,
    /// The user whose agent gets the message.
    pub user: ConsumerUserId,
    /// The agent that the user must be bound to.
    pub agent: AgentKey,
    /// The template that it was made from.
    pub template: Option<PushTemplateId>,
    /// The title, for lists.
    pub title: String,
    /// The text of the message.
    pub text: String,
    /// When it runs.
    pub schedule: Schedule,
    /// The zone of its times.
    pub zone: ZoneName,
    /// Whether it runs by its schedule. It can be triggered in any case.
    pub enabled: bool,
    /// The next run, or the last one when no later one can be computed. Only a job that runs by a schedule has one.
    pub next: Option<Slot>,
    /// The last run.
    pub last: Option<LastRun>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a caller last changed it.
    pub updated_at: Timestamp,
    /// Grows with every change.
    pub version: u64,
}

/// A run of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// When it was dispatched.
    pub at: Timestamp,
    /// Its run key.
    pub key: RunKey,
}

/// The figures of the jobs of a user with one agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushStats {
    /// All push jobs.
    pub total_jobs: u64,
    /// Push jobs that are enabled.
    pub active_jobs: u64,
    /// Dispatches so far.
    pub total_dispatches: u64,
    /// When the latest one was made.
    pub latest_dispatch_at: Option<Timestamp>,
}

impl PushJob {
    /// Checks the texts. A refusal names the field.
    pub fn check(&self) -> Result<(), Refusal> {
        check_words(&self.title, &self.text)
    }

    /// Returns the first run after `now`; `None` for a disabled job and for a manual one.
    pub fn first_run(&self, now: Timestamp) -> Result<Option<Slot>, ScheduleError> {
        if self.enabled { next_slot(&self.schedule, &self.zone, now, None) } else { Ok(None) }
    }

    /// Whether the stored slot has been dispatched. A job whose next run cannot be computed keeps its last slot.
    pub fn has_run(&self, slot: &Slot) -> bool {
        self.last.as_ref().is_some_and(|last| last.key == RunKey::scheduled(&self.id, slot.at))
    }
}

/// The slots of a due job, and the action of a dispatcher for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Missed slots to record, the oldest first.
    pub skipped: Vec<Slot>,
    /// The slot to dispatch: the latest one that has come. It is missing while more missed slots are to be recorded, and
    /// when it was dispatched before.
    pub run: Option<Slot>,
    /// The latest slot that has come.
    pub last: Slot,
    /// The slot that the job waits for then. An error means that the job keeps its slot.
    pub next: Result<Slot, ScheduleError>,
}

/// Decides what to do with `job` at `now`; `None` if the job waits for no slot or its slot has not come.
pub fn due(job: &PushJob, now: Timestamp) -> Option<Due> {
    let mut slot = job.next.filter(|slot| job.enabled && slot.at <= now)?;
    let mut skipped = Vec::new();
    let mut dispatched = job.has_run(&slot);
    loop {
        let next = next_slot(&job.schedule, &job.zone, slot.at, Some(slot.day));
        // A manual job has no slot, so a schedule that has one has a next one.
        let next = next.and_then(|next| next.ok_or(ScheduleError::OutOfRange));
        match next {
            Ok(next) if next.at <= now => {
                if !dispatched {
                    skipped.push(slot);
                }
                (slot, dispatched) = (next, false);
                if skipped.len() == MAX_SKIPPED_AT_ONCE {
                    return Some(Due { skipped, run: None, last: slot, next: Ok(slot) });
                }
            }
            next => return Some(Due { skipped, run: (!dispatched).then_some(slot), last: slot, next }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::SlotTime;
    use super::*;
    use crate::time::Millis;

    fn job(zone: &str, now: Timestamp) -> PushJob {
        let mut job = PushJob {
            id: PushJobId::parse("01JZ0000000000000000000000").unwrap(),
            company: CompanyId::parse("acme").unwrap(),
            user: ConsumerUserId::parse("ann").unwrap(),
            agent: AgentKey::parse("support").unwrap(),
            template: None,
            title: "Morning".to_owned(),
            text: "What is due today?".to_owned(),
            schedule: Schedule::Daily { time: SlotTime::parse("09:30").unwrap() },
            zone: ZoneName::from_stored(zone),
            enabled: true,
            next: None,
            last: None,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        job.next = job.first_run(now).unwrap_or_default();
        job
    }

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000); // 2027-01-15T08:00:00Z
    const DAY: u64 = 86_400_000;

    #[test]
    fn a_job_is_due_at_its_slot_and_not_before() {
        let job = job("UTC", START);
        let slot = job.next.unwrap();
        assert_eq!(slot.at, START + Millis::new(90 * 60_000));
        assert_eq!(due(&job, slot.at - Millis::new(1)), None);
        let due = due(&job, slot.at).unwrap();
        assert_eq!((due.skipped.len(), due.run), (0, Some(slot)));
        assert_eq!(due.next.unwrap().at, slot.at + Millis::new(DAY));
    }

    #[test]
    fn after_an_outage_the_latest_missed_slot_runs_and_older_ones_are_skipped() {
        let job = job("UTC", START);
        let first = job.next.unwrap();
        let due = due(&job, first.at + Millis::new(3 * DAY - 1)).unwrap();
        let skipped: Vec<_> = due.skipped.iter().map(|slot| slot.at).collect();
        assert_eq!(skipped, [first.at, first.at + Millis::new(DAY)]);
        assert_eq!(due.run.unwrap().at, first.at + Millis::new(2 * DAY));
        assert_eq!(due.next.unwrap().at, first.at + Millis::new(3 * DAY));
    }

    #[test]
    fn a_long_outage_is_recorded_in_several_steps_without_a_loss() {
        let mut job = job("Europe/Rome", START);
        let now = START + Millis::new(200 * DAY);
        let (mut recorded, mut ran) = (Vec::new(), Vec::new());
        while let Some(step) = due(&job, now) {
            assert!(step.skipped.len() <= MAX_SKIPPED_AT_ONCE);
            recorded.extend(step.skipped.iter().map(|slot| slot.day.to_string()));
            ran.extend(step.run);
            job.next = Some(step.next.unwrap());
        }
        recorded.dedup();
        // The slots of 15 January to 3 August.
        assert_eq!((recorded.len(), ran.len()), (200, 1), "every missed day once, and one run");
    }

    #[test]
    fn a_zone_that_is_unknown_keeps_the_slot_and_runs_it_once() {
        let mut job = job("UTC", START);
        let slot = job.next.unwrap();
        job.zone = ZoneName::from_stored("Mars/Olympus");
        let found = due(&job, slot.at).unwrap();
        assert_eq!(found.run, Some(slot));
        assert!(matches!(found.next, Err(ScheduleError::Zone(_))));
        job.last = Some(LastRun { at: slot.at, key: RunKey::scheduled(&job.id, slot.at) });
        let again = due(&job, slot.at + Millis::new(DAY)).unwrap();
        assert_eq!((again.skipped.len(), again.run), (0, None));
        job.zone = ZoneName::from_stored("UTC");
        let repaired = due(&job, slot.at + Millis::new(DAY)).unwrap();
        assert_eq!(repaired.run.unwrap().at, slot.at + Millis::new(DAY));
    }

    #[test]
    fn a_new_time_zone_database_runs_no_day_twice() {
        let rome = ZoneName::from_stored("Europe/Rome");
        let daily = Schedule::Daily { time: SlotTime::parse("09:30").unwrap() };
        let slot = next_slot(&daily, &rome, START, None).unwrap().unwrap();
        // The slot was an hour earlier with the rules of before. Its day has run.
        let before = slot.at - Millis::new(3_600_000);
        let next = next_slot(&daily, &rome, before, Some(slot.day)).unwrap().unwrap();
        assert_eq!(next.at, slot.at + Millis::new(DAY));
    }
}
