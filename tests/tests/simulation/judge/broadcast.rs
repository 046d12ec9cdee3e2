//! A broadcast ends once, and loses no target.

use serde_json::Value;

use super::push::{Broadcast, number, text};
use super::{Check, Judge};
use crate::bindings::OTHER_AGENT;
use crate::tally::Event;
use crate::world::{AGENT, World};

/// How much later than the table an index and the copies of a function may be, ms.
const MAX_LATE_MS: u64 = 5_000;

impl Judge {
    /// A broadcast ends once. When it is done, every user who was bound all the time has a record.
    pub(super) fn broadcast(&mut self, world: &World, pk: &str, change: &Value) -> Check {
        let (id, image) = (pk.trim_start_matches("BC#"), &change["NewImage"]);
        let status = text(image, "st").ok_or("a broadcast was deleted")?;
        let [targets, enqueued, failed] =
            ["nt", "ne", "nf"].map(|name| number(image, name).unwrap_or_default());
        let known = self.pushes.broadcasts.get(id);
        let created = known.map_or(number(image, "at").unwrap_or_default(), |known| known.created);
        let before = known.map_or("running", |known| known.status.as_str()).to_owned();
        if before != status && before != "running" {
            return Err(format!("the broadcast {id} was {before} and is {status}"));
        }
        let cancelled = known.and_then(|known| known.cancelled);
        let cancelled = (status == "cancelled").then(|| cancelled.unwrap_or(self.now));
        if targets != enqueued + failed || targets > self.targets_of(id) {
            return Err(format!("the broadcast {id} has other figures than its dispatches: {image}"));
        }
        let ends = before == "running" && status != "running";
        self.pushes
            .broadcasts
            .insert(id.to_owned(), Broadcast { status: status.clone(), created, cancelled });
        match status.as_str() {
            "cancelled" if ends => self.count(Event::BroadcastCancelled),
            "done" | "failed" if ends => {
                self.count(Event::BroadcastDone);
                return self.has_every_target(world, id, created);
            }
            _ => {}
        }
        Ok(())
    }

    fn targets_of(&self, id: &str) -> u64 {
        self.pushes.targets.iter().filter(|(broadcast, ..)| broadcast == id).count() as u64
    }

    fn has_every_target(&self, world: &World, id: &str, created: u64) -> Check {
        let has = |agent: &str, user: Option<&str>| {
            let target = (id.to_owned(), agent.to_owned(), user.map(str::to_owned));
            self.pushes.targets.contains(&target)
        };
        // The profile that a planted bug reads has no users.
        if !has("running", None) {
            return Err(format!("the broadcast {id} has forgotten the agent without users"));
        }
        for (user, _) in &world.conversations {
            for agent in [AGENT, OTHER_AGENT] {
                let runs = agent != AGENT || self.destinations.agent_ran(created, self.now);
                let from = created.saturating_sub(MAX_LATE_MS);
                let bound = self.destinations.was_bound(user.as_str(), agent, from, self.now);
                if runs && bound && !has(agent, Some(user.as_str())) {
                    return Err(format!("the broadcast {id} is done and has forgotten {user} with {agent}"));
                }
            }
        }
        Ok(())
    }
}
