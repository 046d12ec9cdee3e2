//! Control routes of the emulator, on loopback only: they list machines and volumes, and queue faults.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, Fault, FlyEmulator};

pub(super) fn router(fly: FlyEmulator) -> Router {
    Router::new()
        .route("/fly/apps/{app}", get(show))
        .route("/fly/apps/{app}/machines/{machine}", delete(vanish))
        .route("/fly/faults", post(faults))
        .with_state(fly)
}

/// The present state of the app. Environments are left out because they hold tokens.
async fn show(State(fly): State<FlyEmulator>, Path(app): Path<String>) -> Result<Json<Value>, StatusCode> {
    fly.inner.catch_up(&app).await;
    let memory = fly.inner.lock();
    let found = memory.state.apps.get(&app).ok_or(StatusCode::NOT_FOUND)?;
    let machines = found.machines.values().filter(|m| m.is_there()).map(|m| {
        json!({
            "id": m.id, "name": m.name, "state": m.state, "region": m.region, "cordoned": m.cordoned,
            "image": m.config["image"], "metadata": m.config["metadata"],
            "volume": m.config["mounts"][0]["volume"],
        })
    });
    let volumes = found.volumes.values().map(|v| {
        json!({
            "id": v.id, "name": v.name, "region": v.region, "sizeGb": v.size_gb,
            "attachedMachineId": v.attached_to,
        })
    });
    Ok(Json(json!({
        "app": app,
        "machines": machines.collect::<Vec<_>>(),
        "volumes": volumes.collect::<Vec<_>>(),
        "requests": memory.requests,
        "refusedForRate": memory.refused_for_rate,
    })))
}

/// Lets a machine disappear, as when its host is lost.
async fn vanish(State(fly): State<FlyEmulator>, Path((app, machine)): Path<(String, String)>) -> StatusCode {
    if fly.vanish(&app, &machine).await { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Order {
    action: Action,
    fault: Fault,
    #[serde(default = "once")]
    times: usize,
}

const fn once() -> usize {
    1
}

async fn faults(
    State(fly): State<FlyEmulator>,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<Json<Value>, Response> {
    let Json(order) = order.map_err(refused)?;
    fly.fault(order.action, &order.fault, order.times);
    Ok(Json(json!({"queued": order.times})))
}

/// Says in the form of RFC 9457 why a body cannot be used.
fn refused(rejection: JsonRejection) -> Response {
    let status = rejection.status();
    let title = status.canonical_reason().unwrap_or_default();
    let problem = json!({"title": title, "status": status.as_u16(), "detail": rejection.body_text()});
    (status, [(header::CONTENT_TYPE, "application/problem+json")], problem.to_string()).into_response()
}
