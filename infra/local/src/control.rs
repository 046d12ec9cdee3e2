//! Control of the virtual clock, on loopback only: `GET` and `POST /_local/clock`.

use af_domain::refusal::{Code, Refusal};
use af_domain::time::Millis;
use af_http::{ApiJson, Problem};
use af_runtime::clock::Clock;
use af_runtime::virtual_clock::VirtualClock;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::background::Background;

/// The virtual clock and the tasks that follow it.
#[derive(Clone)]
pub(crate) struct ClockControl {
    pub clock: VirtualClock,
    pub background: Background,
    /// Whether the functions go by the virtual clock. Those in processes of their own go by the clock of the machine.
    pub is_movable: bool,
}

impl ClockControl {
    /// Moves the clock. It returns when all records and schedules that are due have been delivered to their functions.
    pub async fn advance(&self, by: Millis) -> Result<(), Refusal> {
        if !self.is_movable {
            return Err(Refusal::new(Code::Conflict, FIXED));
        }
        self.clock.advance(by);
        self.background.settled().await;
        Ok(())
    }
}

/// Why the clock cannot be moved.
const FIXED: &str = "functions in processes of their own go by the clock of this machine, which cannot be moved; \
     start `dev` without `--functions lambda`";

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

pub(crate) fn router(control: ClockControl) -> Router {
    Router::new().route("/clock", get(show).post(advance)).with_state(control)
}

async fn show(State(control): State<ClockControl>) -> Json<Now> {
    Json(now(&control.clock))
}

async fn advance(
    State(control): State<ClockControl>,
    ApiJson(request): ApiJson<Advance>,
) -> Result<Json<Now>, Problem> {
    control.advance(Millis::new(request.advance_ms)).await?;
    Ok(Json(now(&control.clock)))
}

fn now(clock: &VirtualClock) -> Now {
    Now { now: clock.now().as_millis(), offset_ms: clock.offset().as_millis() }
}
