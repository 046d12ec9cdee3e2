//! Machines and volumes that carry our mark and belong to no worker: a row was lost, or a machine came up after its row
//! had been given up. Every row is written before its machine and goes after it, so there should be none.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::{Action, Observed, Orphan, Plan};
use crate::policy::Policies;
use crate::time::Timestamp;

/// Orphans removed in one run: each costs the provider's rate limit a second or two. The next run goes on behind them, so
/// that those that do not go keep no other waiting.
const REMOVALS_MAX: usize = 20;
/// Orphans that are remembered: they stand in the lease's item, which every tick writes. More wait for these to go.
const REMEMBERED_MAX: usize = 200;

/// Removes what has belonged to nobody for the grace, and remembers the rest.
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
        // Not asked, or no answer: nothing is known that was not known before.
        None => kept.extend(of_kind(true)),
        Some(machines) => {
            let lost = machines.iter().filter(|m| !live.contains(&m.worker));
            found.extend(lost.map(|m| (Orphan::Machine(m.id.clone()), format!("its worker {}", m.worker))));
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
    for (orphan, whose) in known.into_iter().chain(new).take(REMEMBERED_MAX) {
        let since = remembered.get(&orphan).copied().unwrap_or(now);
        let removed_at = since + policies.scaling.provider_grace;
        kept.insert(orphan.clone(), since);
        let subject = orphan.to_string();
        if let Some(machine) = attached.get(&orphan) {
            plan.wait(subject, format!("machine {machine}, which has it, to go"), None);
        } else if removed_at > now {
            plan.wait(subject, format!("{whose} to appear; it is removed otherwise"), Some(removed_at));
        } else if let Some(until) = observed.state.left_until(since, policies, now) {
            plan.wait(subject, "the provider, which has not let it go so far", Some(until));
        } else {
            let reason = format!("it carries our mark, and {whose} has no row since {since}");
            due.insert(orphan, (since, reason));
        }
    }
    remove(plan, due, observed.state.tried.as_ref());
    plan.orphans = kept;
}

/// Removes what is due, behind the one that was tried last.
fn remove(plan: &mut Plan, due: BTreeMap<Orphan, (Timestamp, String)>, tried: Option<&Orphan>) {
    let behind = tried.map_or(Bound::Unbounded, Bound::Excluded);
    let before = tried.into_iter().flat_map(|tried| due.range(..=tried));
    for (orphan, (since, reason)) in due.range((behind, Bound::Unbounded)).chain(before).take(REMOVALS_MAX) {
        let action = Action::Remove { orphan: orphan.clone(), since: *since };
        plan.act(action, reason.clone());
    }
}

/// Volumes that a machine of ours has: they go after it.
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
