//! Control of the virtual clock, on loopback only: `GET` and `POST /_local/clock`.

use af_domain::time::Millis;
use af_http::{ApiJson, Problem};
use af_runtime::clock::Clock;
use af_runtime::virtual_clock::VirtualClock;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::background::Background;

#[derive(Clone)]
struct Control {
    clock: VirtualClock,
    background: Background,
}

/// The distance by which the clock is moved.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Advance {
    advance_ms: u64,
}

/// The clock.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Now {
    /// Epoch ms by the virtual clock.
    now: u64,
    /// The total distance by which it has been moved, ms.
    offset_ms: u64,
}

pub(crate) fn router(clock: VirtualClock, background: Background) -> Router {
    Router::new().route("/clock", get(show).post(advance)).with_state(Control { clock, background })
}

async fn show(State(control): State<Control>) -> Json<Now> {
    Json(now(&control.clock))
}

/// Moves the clock. It answers when all records and schedules that are due have been delivered to their functions.
async fn advance(
    State(control): State<Control>,
    ApiJson(request): ApiJson<Advance>,
) -> Result<Json<Now>, Problem> {
    control.clock.advance(Millis::new(request.advance_ms));
    control.background.settled().await;
    Ok(Json(now(&control.clock)))
}

fn now(clock: &VirtualClock) -> Now {
    Now { now: clock.now().as_millis(), offset_ms: clock.offset().as_millis() }
}
