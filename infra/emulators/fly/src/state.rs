//! The state: apps with their machines and volumes, and how machines change state with time.
//!
//! ```text
//! creating ─► started ─► stopping ─► stopped ─► destroying ─► destroyed
//!        └──► failed, launch_failed (by a queued fault)
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// From creation to start: Fly's own figures are below a second once an image is on the host.
const START_MS: u64 = 800;
/// From SIGTERM to the end of a process that has nothing to finish.
const STOP_MS: u64 = 1_500;
/// From the request to destroy to the end of the machine.
const DESTROY_MS: u64 = 300;

/// All apps.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub apps: BTreeMap<String, App>,
}

/// One app.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct App {
    pub organization: String,
    pub machines: BTreeMap<String, Machine>,
    pub volumes: BTreeMap<String, Volume>,
}

/// The state of a machine, by the names of Fly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineState {
    /// It was created; its process does not run yet.
    Creating,
    /// Its process runs.
    Started,
    /// It was asked to stop.
    Stopping,
    /// Its process has ended.
    Stopped,
    /// Its process failed.
    Failed,
    /// It could not be started. Fly takes this for a transient state, in which only a forced destroy removes it.
    LaunchFailed,
    /// It is being removed.
    Destroying,
    /// It is gone; only a list with deleted machines shows it.
    Destroyed,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Machine {
    pub id: String,
    pub name: String,
    pub region: String,
    pub instance_id: String,
    pub created_at: u64,
    pub config: Value,
    pub state: MachineState,
    /// The next state that it reaches by itself, and when (epoch ms, as all times here).
    pub next: Option<(u64, MachineState)>,
    /// Its process is being started; whether it runs is not known yet.
    #[serde(skip)]
    pub launching: bool,
    pub cordoned: bool,
    /// It never ends when it is asked to stop.
    pub stuck: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Volume {
    pub id: String,
    pub name: String,
    pub region: String,
    pub size_gb: u64,
    pub created_at: u64,
    /// The machine that it is attached to.
    pub attached_to: Option<String>,
    /// The name of the last machine that it was attached to. A runner keeps its files under that name.
    pub used_by: Option<String>,
}

impl Machine {
    /// Starts its creation, which ends in the state `comes_to`.
    pub fn begin(&mut self, comes_to: MachineState, now: u64) {
        self.state = MachineState::Creating;
        self.next = Some((now + START_MS, comes_to));
    }

    /// Its process runs. A machine that was stopped or destroyed meanwhile keeps its state.
    pub fn launched(&mut self) {
        if self.state == MachineState::Creating {
            self.state = MachineState::Started;
        }
    }

    /// Asks it to stop. `by_itself`: it has no process, so that time alone ends it.
    pub fn stop(&mut self, by_itself: bool, now: u64) {
        if matches!(self.state, MachineState::Creating | MachineState::Started) {
            self.state = MachineState::Stopping;
            self.next = (by_itself && !self.stuck).then_some((now + STOP_MS, MachineState::Stopped));
        }
    }

    /// Its process has ended.
    pub fn ended(&mut self) {
        if matches!(self.state, MachineState::Creating | MachineState::Started | MachineState::Stopping) {
            self.state = MachineState::Stopped;
            self.next = None;
        }
    }

    /// Starts its removal.
    pub fn destroy(&mut self, now: u64) {
        self.state = MachineState::Destroying;
        self.next = Some((now + DESTROY_MS, MachineState::Destroyed));
    }

    /// Whether a list without deleted machines shows it.
    pub fn is_there(&self) -> bool {
        self.state != MachineState::Destroyed
    }

    /// One value of its metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.config["metadata"][key].as_str()
    }

    fn move_on(&mut self, now: u64) {
        if let Some((at, state)) = self.next
            && at <= now
        {
            self.state = state;
            self.next = None;
        }
    }
}

impl App {
    /// Updates the states of machines to `now`, and detaches volumes from machines that are gone.
    pub fn move_on(&mut self, now: u64) {
        for machine in self.machines.values_mut() {
            machine.move_on(now);
        }
        for volume in self.volumes.values_mut() {
            let machine = volume.attached_to.as_ref().and_then(|id| self.machines.get(id));
            if machine.is_none_or(|m| !m.is_there()) {
                volume.attached_to = None;
            }
        }
    }

    /// The machine of this name that is not destroyed.
    pub fn named(&self, name: &str) -> Option<&Machine> {
        self.machines.values().find(|m| m.name == name && m.is_there())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            id: "m".into(),
            name: "w".into(),
            region: "fra".into(),
            instance_id: "i".into(),
            created_at: 0,
            config: Value::Null,
            state: MachineState::Creating,
            next: None,
            launching: false,
            cordoned: false,
            stuck: false,
        }
    }

    #[test]
    fn a_machine_moves_on_only_with_time() {
        let mut app = App::default();
        let mut machine = machine();
        machine.begin(MachineState::Started, 0);
        app.machines.insert("m".into(), machine);
        let state = |app: &mut App, at| {
            app.move_on(at);
            app.machines["m"].state
        };
        assert_eq!(state(&mut app, 799), MachineState::Creating);
        assert_eq!(state(&mut app, 800), MachineState::Started);
        app.machines.get_mut("m").unwrap().stop(true, 1_000);
        assert_eq!(state(&mut app, 2_499), MachineState::Stopping);
        assert_eq!(state(&mut app, 2_500), MachineState::Stopped);
        app.machines.get_mut("m").unwrap().destroy(3_000);
        assert_eq!(state(&mut app, 3_300), MachineState::Destroyed);
    }

    #[test]
    fn a_stuck_machine_stops_at_no_time() {
        let mut machine = machine();
        machine.stuck = true;
        machine.begin(MachineState::Started, 0);
        machine.stop(true, 0);
        machine.move_on(u64::MAX);
        assert_eq!(machine.state, MachineState::Stopping);
    }
}
