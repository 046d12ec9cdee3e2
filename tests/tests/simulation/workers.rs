//! Workers: they poll, work, fail, crash, freeze and come back when it is too late.

use std::sync::Arc;
use std::time::Duration;

use af_app::clock::Clock;
use af_app::hydrate::Job;
use af_app::worker::{Poll, append, complete, fail, heartbeat, poll};
use af_app::{App, AppError};
use af_domain::ids::{ConversationId, WorkerId};
use af_domain::message::{HistoryEntry, Role};
use af_domain::refusal::Code;
use af_providers::MachineState;
use af_store::conversation::CompleteWith;
use rand::Rng;
use rand::rngs::StdRng;

use crate::world::World;

/// Wait between heartbeats, as the policies have it.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Longest work on one message, ms.
const WORK_MS_MAX: u64 = 40_000;
/// How often a call about a message is sent before the worker gives it up.
const SENDINGS_MAX: usize = 4;

/// How a worker goes on after a message.
#[derive(PartialEq)]
enum After {
    Polls,
    Crashed,
}

pub async fn worker(world: Arc<World>, id: WorkerId, actor: u64) {
    let mut rng = world.rng(actor);
    let app = world.app(actor);
    let mut conversation: Option<ConversationId> = None;
    let mut release = false;
    // Image, restore, gateway.
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..20_000))).await;
    while world.provider.runs(&id) {
        let request = Poll {
            conversation: conversation.clone(),
            hydrate: true,
            release,
            discard: release,
            ..Poll::default()
        };
        let Ok(polled) = poll(&app, &id, &request).await else {
            tokio::time::sleep(Duration::from_millis(rng.random_range(100..5_000))).await;
            continue;
        };
        release = polled.control.switch;
        if polled.control.should_stop {
            break;
        }
        let Some(job) = polled.job else {
            if !release {
                tokio::time::sleep(Duration::from_millis(polled.next_poll.as_millis())).await;
            }
            continue;
        };
        conversation = Some(job.conversation.id.clone());
        world.note(|| format!("{id}: {} attempt {}", job.lease.entry.message, job.lease.entry.attempts));
        if work(&world, &app, &id, &job, &mut rng).await == After::Crashed {
            world.note(|| format!("{id}: crashed"));
            return world.provider.ended(&id, MachineState::Failed);
        }
    }
    world.provider.ended(&id, MachineState::Stopped);
}

async fn work(world: &World, app: &App, id: &WorkerId, job: &Job, rng: &mut StdRng) -> After {
    let crash = if world.calm() { 0 } else { 12 };
    let fate = rng.random_range(0..100);
    if fate < crash / 2 {
        return After::Crashed;
    }
    if fate < crash {
        // Frozen for longer than the lease lasts; then it goes on as if nothing had been.
        tokio::time::sleep(Duration::from_secs(rng.random_range(80..300))).await;
        if rng.random_bool(0.5) && !beat(world, app, id, job).await {
            return After::Polls;
        }
    } else if !keep_alive(world, app, id, job, rng).await {
        return After::Polls;
    }
    if !world.calm() && rng.random_range(0..100) < 5 {
        return After::Crashed;
    }
    if rng.random_bool(0.3) {
        let entries = [entry("thinking", app)];
        // Whatever becomes of it: what is judged is what the table holds.
        let _ = append(app, id, &job.conversation.id, &job.lease.id, 0, &entries, None).await;
    }
    if rng.random_range(0..100) < 20 {
        give_up(app, id, job, rng).await;
    } else {
        finish(world, app, id, job, rng).await;
    }
    After::Polls
}

/// Works with heartbeats; `false` when the lease is lost meanwhile.
async fn keep_alive(world: &World, app: &App, id: &WorkerId, job: &Job, rng: &mut StdRng) -> bool {
    let mut left = Duration::from_millis(rng.random_range(0..WORK_MS_MAX));
    while left > HEARTBEAT {
        tokio::time::sleep(HEARTBEAT).await;
        left -= HEARTBEAT;
        if !beat(world, app, id, job).await {
            return false;
        }
    }
    tokio::time::sleep(left).await;
    true
}

/// One heartbeat; `false` when it says that the lease is lost.
async fn beat(world: &World, app: &App, id: &WorkerId, job: &Job) -> bool {
    let sent = world.clock.now().as_millis();
    match heartbeat(app, id, &job.lease.entry.message, &job.lease.id, None).await {
        Ok(beat) if beat.held => {
            let parts = job.lease.id.parts();
            let key = format!("C#{}", parts.conversation);
            world.extended.lock().unwrap().push((key, parts.fence.0, sent));
            true
        }
        Ok(_) => false,
        Err(_) => true,
    }
}

fn entry(text: &str, app: &App) -> HistoryEntry {
    HistoryEntry { role: Role::Assistant, content: text.to_owned(), at: app.now() }
}

async fn finish(world: &World, app: &App, id: &WorkerId, job: &Job, rng: &mut StdRng) {
    let message = &job.lease.entry.message;
    for _ in 0..SENDINGS_MAX {
        let with = CompleteWith {
            history: vec![entry("answer", app)],
            pending_tool_calls: None,
            metadata: Default::default(),
            reply: Some("answer".to_owned()),
        };
        match complete(app, id, message, &job.lease.id, with).await {
            Ok(()) => {
                let fence = job.lease.id.parts().fence.0;
                world.note(|| format!("{id}: {message} done under fence {fence}"));
                let before = world.completed.lock().unwrap().insert(message.to_string(), fence);
                if before.is_some_and(|b| b != fence) {
                    world
                        .complain(format!("{message} was answered done under fences {before:?} and {fence}"));
                }
                return;
            }
            Err(AppError::Refused(refusal)) if refusal.code == Code::StaleLease => return,
            Err(_) => tokio::time::sleep(Duration::from_millis(rng.random_range(1..3_000))).await,
        }
    }
}

async fn give_up(app: &App, id: &WorkerId, job: &Job, rng: &mut StdRng) {
    let retryable = rng.random_bool(0.85);
    for _ in 0..SENDINGS_MAX {
        let failed = fail(app, id, &job.lease.entry.message, &job.lease.id, "no luck", retryable).await;
        if !matches!(failed, Err(AppError::Store(_) | AppError::Overtaken(_))) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(1..3_000))).await;
    }
}
