//! The stored form of a run's report. It is in the item of the lease, which every tick writes twice. So a tick with
//! nothing to do must not cost more for every worker that waits for work.

use std::collections::BTreeMap;

use af_api::reconcile::{Report, WaitReport};

/// The most bytes of a report as JSON, so that the item of the lease stays within 1 KB.
const MAX_BYTES: usize = 850;
/// The most actions that are stored: more than one run of a usual pool has, and far less than an item can hold.
const MAX_ACTIONS: usize = 200;

/// The stored form of a report. In a large report, all entries that wait for the same thing become one entry with the first
/// subject, the number of the others, and the earliest time.
pub(super) fn stored_report(report: &Report) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(report)?;
    if json.len() <= MAX_BYTES {
        return Ok(json);
    }
    let mut actions = report.actions.clone();
    actions.truncate(MAX_ACTIONS);
    let actions_omitted = report.actions.len() - actions.len();
    serde_json::to_string(&Report {
        actions,
        actions_omitted,
        waits: grouped(&report.waits),
        ..report.clone()
    })
}

fn grouped(waits: &[WaitReport]) -> Vec<WaitReport> {
    let mut by_reason: BTreeMap<&str, Vec<&WaitReport>> = BTreeMap::new();
    for wait in waits {
        by_reason.entry(&wait.waits_for).or_default().push(wait);
    }
    let one = |(reason, waits): (&str, Vec<&WaitReport>)| WaitReport {
        subject: match waits.len() {
            1 => waits[0].subject.clone(),
            n => format!("{} and {} more", waits[0].subject, n - 1),
        },
        waits_for: reason.to_owned(),
        until: waits.iter().filter_map(|w| w.until).min(),
    };
    by_reason.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use af_api::reconcile::ActionReport;

    fn report(workers: usize, actions: usize) -> Report {
        let wait = |i| WaitReport {
            subject: format!("worker w-{i:026}"),
            waits_for: "work, or its idle timeout".to_owned(),
            until: Some(1_000_000 - i as u64),
        };
        let action = ActionReport {
            action: "promote".to_owned(),
            subject: "conversation c".to_owned(),
            reason: "its waiting time is over".to_owned(),
            outcome: "done".to_owned(),
        };
        Report {
            waits: (0..workers).map(wait).collect(),
            actions: vec![action; actions],
            ..Report::default()
        }
    }

    #[test]
    fn a_small_report_is_stored_unchanged() {
        let small = report(3, 1);
        assert_eq!(stored_report(&small).unwrap(), serde_json::to_string(&small).unwrap());
    }

    #[test]
    fn the_stored_report_of_a_thousand_waiting_workers_fits_one_kilobyte() {
        let json = stored_report(&report(1_000, 0)).unwrap();
        assert!(json.len() <= MAX_BYTES, "{json}");
        let read: Report = serde_json::from_str(&json).unwrap();
        assert_eq!(read.waits.len(), 1);
        assert_eq!(read.waits[0].subject, format!("worker w-{:026} and 999 more", 0));
        assert_eq!(read.waits[0].until, Some(999_001));
    }

    #[test]
    fn a_stored_report_has_the_first_actions_and_the_number_of_the_rest() {
        let read: Report = serde_json::from_str(&stored_report(&report(0, 4_000)).unwrap()).unwrap();
        assert_eq!((read.actions.len(), read.actions_omitted), (MAX_ACTIONS, 4_000 - MAX_ACTIONS));
    }
}
