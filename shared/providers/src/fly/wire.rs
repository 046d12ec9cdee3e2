//! Requests and answers of the Machines API, as its OpenAPI document says (<https://docs.machines.dev>). Only the fields
//! that we use are read, so that a new field or state breaks nothing. Environments hold secrets and are never read back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::marks;
use crate::machine::{MachineState, SpawnSpec, VolumeRef};

/// The time from SIGTERM to SIGKILL, in which a worker finishes its message and uploads its snapshot. Fly's default of
/// 5 s is too short for that.
const STOP_TIMEOUT: &str = "300s";
const STOP_SIGNAL: &str = "SIGTERM";

#[derive(Serialize)]
pub(super) struct CreateMachine<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    region: &'a str,
    skip_launch: bool,
    config: MachineConfig<'a>,
}

#[derive(Serialize)]
struct MachineConfig<'a> {
    image: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    guest: Option<Guest<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<Mount<'a>>,
    env: BTreeMap<&'a str, &'a str>,
    metadata: BTreeMap<&'static str, &'a str>,
    auto_destroy: bool,
    restart: Restart,
    stop_config: Stop,
}

#[derive(Serialize)]
struct Guest<'a> {
    cpu_kind: &'a str,
    cpus: u32,
    memory_mb: u32,
}

#[derive(Serialize)]
struct Mount<'a> {
    volume: &'a str,
    path: &'a str,
}

#[derive(Serialize)]
struct Restart {
    policy: &'static str,
}

/// How a machine is stopped, in its configuration and in the body of a stop.
#[derive(Serialize)]
pub(super) struct Stop {
    signal: &'static str,
    timeout: &'static str,
}

impl Stop {
    pub const GRACEFUL: Self = Self { signal: STOP_SIGNAL, timeout: STOP_TIMEOUT };
}

impl<'a> CreateMachine<'a> {
    /// The machine of a worker. Its name is the worker's id, and Fly accepts a name only once in an app. So a creation
    /// whose answer was lost cannot happen twice.
    pub fn of(spec: &'a SpawnSpec) -> Self {
        let guest = spec.guest.as_ref().map(|g| Guest {
            cpu_kind: &g.cpu_kind,
            cpus: g.cpus,
            memory_mb: g.memory_mb,
        });
        let mount = |v: &'a VolumeRef| Mount { volume: &v.volume_id, path: &spec.volume_path };
        let config = MachineConfig {
            image: &spec.image,
            guest,
            mounts: spec.volume.iter().map(mount).collect(),
            env: spec.env.iter().collect(),
            metadata: BTreeMap::from([
                (marks::DEPLOYMENT, spec.scope.deployment_id.as_str()),
                (marks::WORKER, spec.worker_id.as_str()),
            ]),
            auto_destroy: false,
            restart: Restart { policy: "no" },
            stop_config: Stop::GRACEFUL,
        };
        Self { name: spec.worker_id.as_str(), region: &spec.region, skip_launch: false, config }
    }
}

#[derive(Serialize)]
pub(super) struct CreateVolume<'a> {
    pub name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub region: &'a str,
    pub size_gb: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct App {
    #[serde(default)]
    pub organization: Option<Organization>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Organization {
    #[serde(default)]
    pub slug: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Machine {
    pub id: String,
    #[serde(default)]
    pub region: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    config: Option<ShownConfig>,
}

#[derive(Debug, Default, Deserialize)]
struct ShownConfig {
    #[serde(default)]
    image: String,
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
}

impl Machine {
    pub fn worker(&self, deployment_id: &str) -> Option<af_domain::ids::WorkerId> {
        marks::worker_of(self.config.as_ref()?.metadata.as_ref()?, deployment_id)
    }

    pub fn image(&self) -> String {
        self.config.as_ref().map(|c| c.image.clone()).unwrap_or_default()
    }

    pub fn state(&self) -> MachineState {
        state(&self.state)
    }
}

/// Our state for a state of Fly.
fn state(name: &str) -> MachineState {
    match name {
        "started" => MachineState::Running,
        "stopping" | "suspending" => MachineState::Stopping,
        "stopped" | "suspended" => MachineState::Stopped,
        "failed" | "launch_failed" => MachineState::Failed,
        "destroying" | "destroyed" | "replaced" | "migrated" => MachineState::Gone,
        // created, creating, starting, restarting, updating, replacing. A state that we do not know counts as running:
        // the heartbeat shows whether the worker lives.
        _ => MachineState::Starting,
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Volume {
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    attached_machine_id: Option<String>,
}

impl Volume {
    /// Whether Fly has deleted the volume and only lists it still.
    pub fn is_gone(&self) -> bool {
        self.state.contains("destroy")
    }

    pub fn attached_to(&self) -> Option<String> {
        self.attached_machine_id.clone().filter(|id| !id.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_fly_is_mapped_to_a_state_of_ours() {
        for live in ["created", "creating", "starting", "started", "restarting", "updating", "replacing"] {
            assert!(state(live).is_running(), "{live}");
        }
        for stopping in ["stopping", "suspending"] {
            assert!(!state(stopping).is_running() && state(stopping).may_run(), "{stopping}");
        }
        for ended in ["stopped", "suspended", "failed", "launch_failed"] {
            assert!(!state(ended).may_run() && state(ended) != MachineState::Gone, "{ended}");
        }
        for gone in ["destroying", "destroyed", "replaced", "migrated"] {
            assert_eq!(state(gone), MachineState::Gone, "{gone}");
        }
        assert!(state("a_state_of_next_year").is_running());
    }

    #[test]
    fn missing_null_and_unknown_fields_of_an_answer_are_accepted() {
        let machine: Machine =
            serde_json::from_str(r#"{"id": "m1", "config": {"metadata": null}, "nonce": 1}"#).unwrap();
        assert_eq!((machine.worker("prod"), machine.image()), (None, String::new()));
        let volume: Volume = serde_json::from_str(
            r#"{"id": "vol_1", "attached_machine_id": null, "state": "pending_destroy"}"#,
        )
        .unwrap();
        assert!(volume.is_gone() && volume.attached_to().is_none());
    }
}
