//! The allowed changes of workers and of their assignments.

use serde_json::Value;

use super::{Check, Judge};
use crate::queue::{Row, row};
use crate::tally::Event;
use crate::world::World;

/// The states of a worker's row, in their order. A worker without a row has stopped.
const STATES: [&str; 3] = ["active", "draining", "stopping"];

impl Judge {
    pub(super) fn worker(&mut self, worker: &str, change: &Value) -> Check {
        let before = self.workers.remove(worker);
        if change["NewImage"].is_null() {
            self.count(Event::WorkerStopped);
            return match before {
                Some(Row { status, conversation: None, .. }) if status == "stopping" => Ok(()),
                before => Err(format!("{worker} stopped from {before:?}")),
            };
        }
        let after = row(&change["NewImage"]);
        let state_index = |row: &Row| STATES.iter().position(|s| *s == row.status);
        match &before {
            None if !self.registered.insert(worker.to_owned()) => {
                return Err(format!("{worker} had stopped, but has a row again: {after:?}"));
            }
            None => {}
            Some(before) => {
                let steps = state_index(&after).zip(state_index(before)).and_then(|(a, b)| a.checked_sub(b));
                if steps.is_none_or(|steps| steps > 1) {
                    return Err(format!("{worker} went from {before:?} to {after:?}"));
                }
                if steps == Some(1) && after.status == "draining" {
                    self.count(Event::WorkerDrained);
                }
            }
        }
        self.workers.insert(worker.to_owned(), after);
        Ok(())
    }

    /// Workers and conversations name each other, and each machine had a row before its start.
    pub(super) fn ownership(&self, world: &World) -> Check {
        for (worker, row) in &self.workers {
            let Some(key) = &row.conversation else { continue };
            let owner = self.conversations.get(key).and_then(|c| c.owner.as_ref());
            if owner.is_none_or(|(owner, _)| owner != worker) {
                return Err(format!("{worker} is assigned to {key}, which is owned by {owner:?}"));
            }
        }
        for (key, conversation) in &self.conversations {
            let Some((owner, active)) = &conversation.owner else { continue };
            let row = self.workers.get(owner);
            let agrees =
                |row: &Row| row.conversation.as_ref() == Some(key) && (row.status == "active") == *active;
            if !row.is_some_and(agrees) {
                return Err(format!("{key} is owned by {owner}, active: {active}, whose row is {row:?}"));
            }
        }
        match world.provider.started().into_iter().find(|w| !self.registered.contains(w)) {
            Some(worker) => Err(format!("{worker} has a machine, but never had a row")),
            None => Ok(()),
        }
    }
}
