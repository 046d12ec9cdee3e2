//! The actions on machines.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::call::{Answer, Call, Refused, page};
use crate::checks::{CREATE_MACHINE, STOP, check};
use crate::state::{App, Machine, MachineState};
use crate::{FlyEmulator, Memory, REGION};

/// Longest wait, in seconds, and the wait of a request that names none.
const MAX_WAIT_SECS: u64 = 60;
/// Time between two checks of a process while a request waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn shown(machine: &Machine) -> Value {
    json!({
        "id": machine.id,
        "name": machine.name,
        "state": machine.state,
        "region": machine.region,
        "instance_id": machine.instance_id,
        "private_ip": "fdaa::1",
        "created_at": machine.created_at.to_string(),
        "config": machine.config,
        "cordoned": machine.cordoned,
    })
}

fn machine_of<'a>(memory: &'a mut Memory, call: &Call) -> Result<&'a mut Machine, Refused> {
    let machine = memory.app(call)?.machines.get_mut(&call.target.id);
    machine.filter(|m| m.is_there()).ok_or_else(|| Refused::not_found("machine"))
}

pub(super) fn app(fly: &FlyEmulator, call: &Call) -> Result<Answer, Refused> {
    let mut memory = fly.inner.lock();
    let organization = memory.app(call)?.organization.clone();
    let organization = json!({"name": organization, "slug": organization});
    Ok(json!({"name": call.target.app, "status": "deployed", "organization": organization}).into())
}

pub(super) fn list(fly: &FlyEmulator, call: &Call) -> Result<Answer, Refused> {
    let known = |name: &str| matches!(name, "limit" | "cursor");
    let filters: Vec<(&str, &str)> = call
        .query
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("metadata.")?, value.as_str())))
        .collect();
    if let Some((name, _)) = call.query.iter().find(|(n, _)| !known(n) && !n.starts_with("metadata.")) {
        return Err(Refused::invalid(format!("unknown parameter {name}")));
    }
    let mut memory = fly.inner.lock();
    let machines = memory.app(call)?.machines.values().filter(|machine| {
        machine.is_there() && filters.iter().all(|(key, value)| machine.metadata(key) == Some(value))
    });
    page(machines, fly.inner.options.max_page_len, call, |m| m.id.clone(), shown)
}

pub(super) async fn create(fly: &FlyEmulator, call: &Call) -> Result<Answer, Refused> {
    check(&call.body, CREATE_MACHINE).map_err(Refused::invalid)?;
    let now = fly.inner.now();
    let id = fly.inner.id(14);
    let body = &call.body;
    let mut machine = Machine {
        name: body["name"].as_str().map_or_else(|| format!("unnamed-{id}"), str::to_owned),
        region: body["region"].as_str().unwrap_or(REGION).to_owned(),
        instance_id: fly.inner.id(26),
        created_at: now,
        config: body["config"].clone(),
        state: MachineState::Creating,
        next: None,
        launching: false,
        cordoned: false,
        stuck: false,
        id,
    };
    if body["skip_launch"].as_bool().unwrap_or_default() {
        return Err(Refused::invalid("skip_launch is not emulated"));
    }
    // A machine that never starts has no process either.
    let runs = fly.inner.options.runner.is_some() && call.comes_to == MachineState::Started;
    machine.launching = runs;
    if !runs {
        machine.begin(call.comes_to, now);
    }
    {
        let mut memory = fly.inner.lock();
        attach(memory.app(call)?, &machine)?;
        fly.inner.keep(&memory.state);
    }
    if runs {
        launch(fly, &call.target.app, &machine).await;
    }
    Ok(shown(&machine).into())
}

/// Starts the process of the machine. A process that cannot be started counts as ended, as on Fly an image that cannot
/// be pulled.
async fn launch(fly: &FlyEmulator, app: &str, machine: &Machine) {
    let Some(runner) = &fly.inner.options.runner else { return };
    let env: BTreeMap<String, String> = machine.config["env"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    let image = machine.config["image"].as_str().unwrap_or_default();
    let volume_path = machine.config["mounts"][0]["path"].as_str().unwrap_or_default();
    let started = runner.start(&machine.name, image, env, volume_path).await;
    let mut memory = fly.inner.lock();
    let known = memory.state.apps.get_mut(app).and_then(|app| app.machines.get_mut(&machine.id));
    if let Some(known) = known {
        known.launching = false;
        match started {
            Ok(()) => known.launched(),
            Err(error) => {
                tracing::error!(machine = machine.name, %error, "the process of a machine cannot be started");
                known.ended();
            }
        }
    }
    fly.inner.keep(&memory.state);
}

/// Adds the machine to its app, with its volume, unless its name is taken or the volume cannot be mounted.
fn attach(app: &mut App, machine: &Machine) -> Result<(), Refused> {
    if let Some(other) = app.named(&machine.name) {
        let error = format!(
            "already_exists: unique machine name violation, machine ID {} already exists with name \"{}\"",
            other.id, other.name
        );
        return Err(Refused::new(StatusCode::CONFLICT, error));
    }
    if let Some(id) = machine.config["mounts"][0]["volume"].as_str() {
        let volume =
            app.volumes.get_mut(id).ok_or_else(|| Refused::invalid(format!("volume {id} does not exist")))?;
        if volume.region != machine.region {
            return Err(Refused::invalid(format!("volume {id} is in region {}", volume.region)));
        }
        if let Some(other) = &volume.attached_to {
            return Err(Refused::precondition(format!("volume {id} is attached to machine {other}")));
        }
        volume.attached_to = Some(machine.id.clone());
        volume.used_by = Some(machine.name.clone());
    }
    app.machines.insert(machine.id.clone(), machine.clone());
    Ok(())
}

pub(super) fn get(fly: &FlyEmulator, call: &Call) -> Result<Answer, Refused> {
    let mut memory = fly.inner.lock();
    // Fly still shows a destroyed machine for a while.
    let machine = memory.app(call)?.machines.get(&call.target.id);
    Ok(shown(machine.ok_or_else(|| Refused::not_found("machine"))?).into())
}

pub(super) fn cordon(fly: &FlyEmulator, call: &Call) -> Result<Answer, Refused> {
    let mut memory = fly.inner.lock();
    machine_of(&mut memory, call)?.cordoned = true;
    fly.inner.keep(&memory.state);
    Ok(json!({"ok": true}).into())
}

pub(super) async fn stop(fly: &FlyEmulator, call: &Call) -> Result<Answer, Refused> {
    if !call.body.is_null() {
        check(&call.body, STOP).map_err(Refused::invalid)?;
    }
    let now = fly.inner.now();
    let told = {
        let mut memory = fly.inner.lock();
        let machine = machine_of(&mut memory, call)?;
        machine.stuck |= call.stuck;
        if machine.state == MachineState::Destroying {
            return Err(Refused::precondition("machine is being destroyed"));
        }
        machine.stop(fly.inner.options.runner.is_none(), now);
        let told = (machine.state == MachineState::Stopping && !machine.stuck).then(|| machine.name.clone());
        fly.inner.keep(&memory.state);
        told
    };
    if let (Some(runner), Some(name)) = (&fly.inner.options.runner, told) {
        runner.stop(&name).await;
    }
    Ok(json!({"ok": true}).into())
}

pub(super) async fn wait(fly: &FlyEmulator, call: &Call) -> Result<Answer, Refused> {
    let wanted = match call.query("state").unwrap_or("started") {
        "started" => MachineState::Started,
        "stopped" => MachineState::Stopped,
        "destroyed" => MachineState::Destroyed,
        _ => return Err(Refused::invalid("state must be started, stopped or destroyed")),
    };
    let timeout = call.query("timeout").map_or(Ok(MAX_WAIT_SECS), str::parse::<u64>);
    let timeout = timeout.ok().filter(|secs| (1..=MAX_WAIT_SECS).contains(secs));
    let timeout = timeout.ok_or_else(|| Refused::invalid("timeout must be 1 to 60 seconds"))?;
    let deadline = fly.inner.now() + timeout * 1_000;
    loop {
        let now = fly.inner.now();
        let until = {
            let mut memory = fly.inner.lock();
            let machine = memory.app(call)?.machines.get(&call.target.id);
            let machine = machine.ok_or_else(|| Refused::not_found("machine"))?;
            if machine.state == wanted {
                return Ok(json!({"ok": true}).into());
            }
            machine.next.map_or(deadline, |(at, _)| at.min(deadline))
        };
        if now >= deadline {
            let why = "deadline_exceeded: machine is not there yet";
            return Err(Refused::new(StatusCode::REQUEST_TIMEOUT, why));
        }
        let left = Duration::from_millis(until.saturating_sub(now).max(1));
        let look = if fly.inner.options.runner.is_some() { left.min(LOOK_EVERY) } else { left };
        fly.inner.options.time.pass(look).await;
        fly.inner.catch_up(&call.target.app).await;
    }
}

pub(super) async fn destroy(fly: &FlyEmulator, call: &Call) -> Result<Answer, Refused> {
    let force = call.query("force") == Some("true");
    let now = fly.inner.now();
    let name = {
        let mut memory = fly.inner.lock();
        let machine = machine_of(&mut memory, call)?;
        if !matches!(machine.state, MachineState::Stopped | MachineState::Failed) && !force {
            let why = "unable to destroy machine, not currently stopped, suspended, failed or created";
            return Err(Refused::precondition(why));
        }
        machine.destroy(now);
        let name = machine.name.clone();
        fly.inner.keep(&memory.state);
        name
    };
    if let Some(runner) = &fly.inner.options.runner {
        let killed = runner.kill(&name).await;
        killed.map_err(|e| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    }
    Ok(json!({"ok": true}).into())
}
