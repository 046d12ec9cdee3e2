//! Orphans: machines and volumes that carry our mark and belong to no worker. A row was lost, or a machine started after its
//! row had been closed. Every row is written before its machine and removed after it, so there should be no orphans.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::{Action, Observed, Orphan, Plan};
use crate::policy::Policies;
use crate::time::Timestamp;

/// The most removals in one run: each takes a second or two of the provider's rate limit. The next run continues behind
/// them, so that orphans that cannot be removed do not block the others.
const MAX_REMOVALS: usize = 20;
/// The most orphans that are remembered. They are in the item of the lease, which every tick writes. Further orphans are
/// remembered when these are gone.
const MAX_REMEMBERED: usize = 200;

/// Removes orphans whose grace time is over, and remembers the others.
pub(super) fn orphans(plan: &mut Plan, observed: &Observed, policies: &Policies, now: Timestamp) {
    let mut found: Vec<(Orphan, String)> = Vec::new();
    let live: BTreeSet<_> = observed.workers.iter().map(|w| &w.worker.id).collect();
    let remembered = &observed.state.orphans;
    let of_kind = |machine: bool| {
        let is_kind = move |orphan: &Orphan| matches!(orphan, Orphan::Machine(_)) == machine;
        remembered.iter().filter(move |(o, _)| is_kind(o)).map(|(o, since)| (o.clone(), *since))
    };
    let mut kept: BTreeMap<Orphan, Timestamp> = BTreeMap::new();
    match &observed.machines {
        // There is no new list, so the known orphans stay as they are.
        None => kept.extend(of_kind(true)),
        Some(machines) => {
            let lost = machines.iter().filter(|m| !live.contains(&m.worker));
            found.extend(lost.map(|m| (Orphan::Machine(m.id.clone()), format!("worker {}", m.worker))));
        }
    }
    match &observed.volumes {
        None => kept.extend(of_kind(false)),
        Some(volumes) => {
            for volume in volumes.iter().filter(|v| !v.is_of_live_worker) {
                found.push((Orphan::Volume(volume.id.clone()), "its worker".to_owned()));
            }
        }
    }
    let attached = attached(observed);
    let (known, new): (Vec<_>, Vec<_>) = found.into_iter().partition(|(o, _)| remembered.contains_key(o));
    let mut due = BTreeMap::new();
    for (orphan, whose) in known.into_iter().chain(new).take(MAX_REMEMBERED) {
        let since = remembered.get(&orphan).copied().unwrap_or(now);
        let removed_at = since + policies.scaling.provider_grace;
        kept.insert(orphan.clone(), since);
        let subject = orphan.to_string();
        if let Some(machine) = attached.get(&orphan) {
            plan.wait(subject, format!("the removal of machine {machine}, which it is attached to"), None);
        } else if removed_at > now {
            plan.wait(
                subject,
                format!("the row of {whose}; it is removed if none appears"),
                Some(removed_at),
            );
        } else if let Some(until) = observed.state.not_tried_until(since, policies, now) {
            plan.wait(
                subject,
                "the next attempt, because the provider has not removed it so far",
                Some(until),
            );
        } else {
            let reason = format!("it carries our mark, and {whose} has had no row for {}", now.since(since));
            due.insert(orphan, (since, reason));
        }
    }
    remove(plan, due, observed.state.tried.as_ref());
    plan.orphans = kept;
}

/// Removes the orphans that are due. It begins behind the one that was tried last.
fn remove(plan: &mut Plan, due: BTreeMap<Orphan, (Timestamp, String)>, tried: Option<&Orphan>) {
    let behind = tried.map_or(Bound::Unbounded, Bound::Excluded);
    let before = tried.into_iter().flat_map(|tried| due.range(..=tried));
    for (orphan, (since, reason)) in due.range((behind, Bound::Unbounded)).chain(before).take(MAX_REMOVALS) {
        let action = Action::Remove { orphan: orphan.clone(), since: *since };
        plan.act(action, reason.clone());
    }
}

/// Volumes that are attached to one of our machines. They are removed after the machine.
fn attached(observed: &Observed) -> BTreeMap<Orphan, &str> {
    let machines = observed.machines.iter().flatten();
    let machines: BTreeSet<&str> = machines.map(|m| m.id.as_str()).collect();
    let volumes = observed.volumes.iter().flatten();
    volumes
        .filter_map(|v| {
            let machine = v.attached_to.as_deref().filter(|m| machines.contains(m))?;
            Some((Orphan::Volume(v.id.clone()), machine))
        })
        .collect()
}
