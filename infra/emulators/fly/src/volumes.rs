//! The actions on volumes.

use http::StatusCode;
use serde_json::{Value, json};

use crate::FakeFly;
use crate::call::{Answer, Call, Refused, page};
use crate::checks::{CREATE_VOLUME, check};
use crate::state::{App, Volume};

/// The size of a volume whose request names none, in GB.
const SIZE_GB: u64 = 1;
/// The region of a volume whose request names none.
const REGION: &str = "fra";

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

fn app<'a>(memory: &'a mut crate::Memory, call: &Call) -> Result<&'a mut App, Refused> {
    memory.state.apps.get_mut(&call.target.app).ok_or_else(|| Refused::not_found("app"))
}

pub(super) fn list(fly: &FakeFly, call: &Call) -> Result<Answer, Refused> {
    let mut memory = fly.inner.lock();
    let app = app(&mut memory, call)?;
    page(app.volumes.values(), fly.inner.max_page_len, call, |v| v.id.clone(), shown)
}

pub(super) fn create(fly: &FakeFly, call: &Call) -> Result<Answer, Refused> {
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
    app(&mut memory, call)?.volumes.insert(volume.id.clone(), volume);
    fly.inner.keep(&memory.state);
    Ok(answer.into())
}

pub(super) fn get(fly: &FakeFly, call: &Call) -> Result<Answer, Refused> {
    let mut memory = fly.inner.lock();
    let volume = app(&mut memory, call)?.volumes.get(&call.target.id);
    Ok(shown(volume.ok_or_else(|| Refused::not_found("volume"))?).into())
}

pub(super) async fn destroy(fly: &FakeFly, call: &Call) -> Result<Answer, Refused> {
    let (answer, used_by) = {
        let mut memory = fly.inner.lock();
        let volumes = &mut app(&mut memory, call)?.volumes;
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
    if let (Some(runner), Some(name)) = (&fly.inner.runner, used_by) {
        let deleted = runner.delete_volume(&name).await;
        deleted.map_err(|e| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    }
    Ok(answer.into())
}
