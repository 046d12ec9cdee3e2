//! The actions on volumes.

use http::StatusCode;
use serde_json::{Value, json};

use crate::call::{Answer, Call, Refused, page};
use crate::checks::{CREATE_VOLUME, check};
use crate::state::Volume;
use crate::{FlyEmulator, REGION};

/// The size of a volume whose request names none, in GB.
const SIZE_GB: u64 = 1;

fn shown(volume: &Volume) -> Value {
    json!({
        "id": volume.id,
        "name": volume.name,
        "state": "created",
        "region": volume.region,
        "size_gb": volume.size_gb,
        "zone": "0000",
        "encrypted": true,
        "attached_machine_id": volume.attached_to,
        "attached_alloc_id": null,
        "created_at": volume.created_at,
        "fstype": "ext4",
    })
}

pub(super) fn list(fly: &FlyEmulator, call: &Call) -> Result<Answer, Refused> {
    let mut memory = fly.inner.lock();
    page(memory.app(call)?.volumes.values(), fly.inner.options.max_page_len, call, |v| v.id.clone(), shown)
}

pub(super) fn create(fly: &FlyEmulator, call: &Call) -> Result<Answer, Refused> {
    check(&call.body, CREATE_VOLUME).map_err(Refused::invalid)?;
    let text = |name: &str| call.body[name].as_str();
    let volume = Volume {
        id: format!("vol_{}", fly.inner.id(16)),
        name: text("name").unwrap_or_default().to_owned(),
        region: text("region").unwrap_or(REGION).to_owned(),
        size_gb: call.body["size_gb"].as_u64().unwrap_or(SIZE_GB),
        created_at: fly.inner.now(),
        attached_to: None,
        used_by: None,
    };
    let answer = shown(&volume);
    let mut memory = fly.inner.lock();
    memory.app(call)?.volumes.insert(volume.id.clone(), volume);
    fly.inner.keep(&memory.state);
    Ok(answer.into())
}

pub(super) fn get(fly: &FlyEmulator, call: &Call) -> Result<Answer, Refused> {
    let mut memory = fly.inner.lock();
    let volume = memory.app(call)?.volumes.get(&call.target.id);
    Ok(shown(volume.ok_or_else(|| Refused::not_found("volume"))?).into())
}

pub(super) async fn destroy(fly: &FlyEmulator, call: &Call) -> Result<Answer, Refused> {
    let (answer, used_by) = {
        let mut memory = fly.inner.lock();
        let volumes = &mut memory.app(call)?.volumes;
        let volume = volumes.get(&call.target.id).ok_or_else(|| Refused::not_found("volume"))?;
        if let Some(machine) = &volume.attached_to {
            let why = format!("volume is currently bound to machine: {machine}");
            return Err(Refused::precondition(why));
        }
        let mut answer = shown(volume);
        answer["state"] = "pending_destroy".into();
        let used_by = volume.used_by.clone();
        volumes.remove(&call.target.id);
        fly.inner.keep(&memory.state);
        (answer, used_by)
    };
    if let (Some(runner), Some(name)) = (&fly.inner.options.runner, used_by) {
        let deleted = runner.delete_volume(&name).await;
        deleted.map_err(|e| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    }
    Ok(answer.into())
}
