//! What is kept of a run's report. It stands in the lease's own item, which every tick writes twice: a tick with
//! nothing to do must not cost more with every worker that waits for work.

use std::collections::BTreeMap;

use super::report::{Report, WaitReport};

/// Bytes of a report, as JSON, that leave the lease's item within 1 KB.
const BYTES_MAX: usize = 850;
/// Actions that are kept: more than one run of a usual pool has, and far less than an item holds.
const ACTIONS_MAX: usize = 200;

/// The report as it is kept. When it is large, those that wait for the same thing are told as one, by the first of
/// them and their number, and the earliest of their times.
pub(super) fn stored_report(report: &Report) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(report)?;
    if json.len() <= BYTES_MAX {
        return Ok(json);
    }
    let mut actions = report.actions.clone();
    actions.truncate(ACTIONS_MAX);
    let actions_omitted = report.actions.len() - actions.len();
    serde_json::to_string(&Report {
        actions,
        actions_omitted,
        waits: folded(&report.waits),
        ..report.clone()
    })
}

fn folded(waits: &[WaitReport]) -> Vec<WaitReport> {
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
    use crate::pool::reconcile::ActionReport;

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
    fn a_small_report_is_kept_as_it_is() {
        let small = report(3, 1);
        assert_eq!(stored_report(&small).unwrap(), serde_json::to_string(&small).unwrap());
    }

    #[test]
    fn a_thousand_waiting_workers_take_no_more_than_one_kilobyte() {
        let json = stored_report(&report(1_000, 0)).unwrap();
        assert!(json.len() <= BYTES_MAX, "{json}");
        let read: Report = serde_json::from_str(&json).unwrap();
        assert_eq!(read.waits.len(), 1);
        assert_eq!(read.waits[0].subject, format!("worker w-{:026} and 999 more", 0));
        assert_eq!(read.waits[0].until, Some(999_001));
    }

    #[test]
    fn of_very_many_actions_the_first_are_kept_and_the_rest_counted() {
        let read: Report = serde_json::from_str(&stored_report(&report(0, 4_000)).unwrap()).unwrap();
        assert_eq!((read.actions.len(), read.actions_omitted), (ACTIONS_MAX, 4_000 - ACTIONS_MAX));
    }
}
