//! Workers poll, work, fail, crash, freeze, and continue after their lease has expired.

use std::sync::Arc;
use std::time::Duration;

use af_app::AppError;
use af_app::documents::WorkspaceWanted;
use af_app::worker::bundle::Job;
use af_app::worker::{DeliveredBy, Ownership, Poll, Retry, Wants, append, complete, fail, heartbeat, poll};
use af_domain::agent::user_of;
use af_domain::ids::{ConversationId, WorkerId};
use af_domain::message::{HistoryEntry, Reply, ReplyFormat, Role, TELEGRAM};
use af_domain::refusal::Code;
use af_domain::time::{Millis, Timestamp};
use af_providers::MachineState;
use af_store::conversation::CompleteWith;
use rand::Rng;
use rand::rngs::StdRng;

use crate::answers::Delivered;
use crate::clock::WorkerClock;
use crate::costs::Operation;
use crate::instance::Instance;
use crate::tally::Event;
use crate::telegram::{progress_of, reply_to};
use crate::world::{MAX_RUN, World};

/// Wait between heartbeats: the policy default.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The length of a lease: the policy default.
const LEASE: Millis = Millis::from_secs(90);
/// Longest work on one message, ms.
const MAX_WORK_MS: u64 = 40_000;
/// Longest work beyond the limit of a run, ms. The worker sends heartbeats meanwhile.
const MAX_EXCESS_MS: u64 = 180_000;
/// How often a worker sends a call about a message before it gives up.
const MAX_SENDINGS: usize = 4;

/// How often in sequence a worker may be asked to release its conversation without effect, because other actors write
/// at the same time. No time passes between these polls, so a world without this limit could run forever.
const MAX_RELEASES: u32 = 10;

/// The state of a worker after a message.
#[derive(PartialEq)]
enum After {
    Continues,
    Crashed,
}

/// One worker: its machine's clock, and the function instances that answer its calls.
struct Worker {
    world: Arc<World>,
    id: WorkerId,
    clock: WorkerClock,
    rng: StdRng,
    functions: [Instance; 2],
}

pub async fn worker(world: Arc<World>, id: WorkerId, actor: u64) {
    let mut rng = world.rng(actor);
    let clock = world.clock.worker(&mut rng);
    let offset = if clock.is_ahead() { Event::WorkerClockAhead } else { Event::WorkerClockBehind };
    world.shared.tally.count(offset);
    let functions = [0, 1].map(|n| Instance::new(&world, actor + n, Event::WorkerFunctionDied));
    let worker = Worker { world: world.clone(), id: id.clone(), clock, rng, functions };
    world.provider.ended(&id, worker.run().await);
}

fn delivered(job: &Job, asked: Timestamp, answered: Timestamp) -> Delivered {
    let user = user_of(&job.conversation.id, &job.conversation.agent);
    Delivered {
        message: job.lease.entry.message.to_string(),
        user: user.map(|user| user.to_string()).unwrap_or_default(),
        agent: job.conversation.agent.to_string(),
        target: (job.payload.provider == TELEGRAM).then(|| job.payload.provider_user_id.clone()),
        asked: asked.as_millis(),
        answered: answered.as_millis(),
        text: Some(job.payload.message_text.clone()),
    }
}

impl Worker {
    /// Runs until the worker is asked to stop or its machine fails.
    async fn run(mut self) -> MachineState {
        let mut conversation: Option<ConversationId> = None;
        let mut release = false;
        let mut releases = 0;
        // Start of the image, restore of the snapshot, start of the gateway.
        tokio::time::sleep(self.within(20_000)).await;
        while self.world.provider.runs(&self.id) {
            let request = Poll {
                conversation: conversation.clone(),
                wants: Wants::JobWithBundle { since: None, workspace: WorkspaceWanted::Everything },
                ownership: if release { Ownership::Discard } else { Ownership::Keep },
                ..Poll::default()
            };
            let asked = self.world.now();
            let (app, id, world) = (self.function().app(), self.id.clone(), self.world.clone());
            let polled = self.functions[0].call(Operation::Poll, poll(&app, &id, &request)).await;
            let polled = match polled {
                Some(Ok(polled)) => polled,
                None if self.fails_now(5) => return MachineState::Failed,
                _ => {
                    tokio::time::sleep(self.within(5_000)).await;
                    continue;
                }
            };
            release = polled.control.switch.is_some();
            if let Some(own) = polled.control.switch {
                conversation = Some(own);
                world.shared.tally.count(Event::Switched);
            }
            if polled.control.should_stop {
                break;
            }
            let Some(job) = polled.job else {
                releases = if release { releases + 1 } else { 0 };
                if releases > MAX_RELEASES {
                    world.add_violation(format!(
                        "{id} was asked {releases} times to release its conversation and could not"
                    ));
                }
                if !release || releases > MAX_RELEASES {
                    self.clock.sleep(Duration::from_millis(polled.next_poll.as_millis())).await;
                }
                continue;
            };
            releases = 0;
            world.answers.confirmed_leases.lock().unwrap().push((job.lease.id.clone(), asked));
            world.answers.delivered.lock().unwrap().push(delivered(&job, asked, world.now()));
            conversation = Some(job.conversation.id.clone());
            world.note(|| format!("{id}: {} attempt {}", job.lease.entry.message, job.lease.entry.attempts));
            if self.work(&job).await == After::Crashed {
                world.shared.tally.count(Event::WorkerCrashed);
                world.note(|| format!("{id}: crashed"));
                return MachineState::Failed;
            }
        }
        MachineState::Stopped
    }

    fn within(&mut self, max_ms: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(0..max_ms))
    }

    /// One of the instances at random, which becomes the first one.
    fn function(&mut self) -> &mut Instance {
        if self.rng.random_bool(0.3) {
            self.functions.swap(0, 1);
        }
        &mut self.functions[0]
    }

    /// Whether the machine fails now, with this chance in a hundred.
    fn fails_now(&mut self, percent: u32) -> bool {
        !self.world.is_in_final_phase() && self.rng.random_range(0..100) < percent
    }

    async fn work(&mut self, job: &Job) -> After {
        if self.fails_now(6) {
            return After::Crashed;
        }
        let freezes = self.fails_now(self.world.freezes);
        if freezes {
            // The worker freezes, mostly for longer than its lease, and then continues without noticing it.
            self.world.shared.tally.count(Event::WorkerFroze);
            tokio::time::sleep(Duration::from_secs(self.rng.random_range(80..300))).await;
            if self.rng.random_bool(0.5) && !self.send_heartbeat(job).await {
                return After::Continues;
            }
        } else if !self.work_with_heartbeats(job).await {
            return After::Continues;
        }
        if self.fails_now(5) {
            return After::Crashed;
        }
        if self.rng.random_bool(if freezes { 0.6 } else { 0.3 }) {
            self.append(job).await;
        }
        if self.rng.random_range(0..100) < 20 {
            self.report_failure(job).await;
        } else {
            self.complete_message(job).await;
        }
        After::Continues
    }

    /// Works with heartbeats; `false` when the lease is lost.
    async fn work_with_heartbeats(&mut self, job: &Job) -> bool {
        let mut left = match self.fails_now(3) {
            true => MAX_RUN + self.within(MAX_EXCESS_MS),
            false => self.within(MAX_WORK_MS),
        };
        while left > HEARTBEAT {
            self.clock.sleep(HEARTBEAT).await;
            left -= HEARTBEAT;
            if !self.send_heartbeat(job).await {
                return false;
            }
        }
        self.clock.sleep(left).await;
        true
    }

    /// Sends one heartbeat; `false` when its answer says that the lease is lost.
    async fn send_heartbeat(&mut self, job: &Job) -> bool {
        let (app, id, sent) = (self.function().app(), self.id.clone(), self.world.now());
        let progress = progress_of(job.lease.entry.message.as_str());
        let beat = heartbeat(&app, &id, &job.lease.entry.message, &job.lease.id, Some(&progress));
        match self.functions[0].call(Operation::Heartbeat, beat).await {
            Some(Ok(beat)) if beat.held => {
                self.world.answers.confirmed_leases.lock().unwrap().push((job.lease.id.clone(), sent));
                if beat.lease_expires_at.is_none_or(|at| at < sent + LEASE) {
                    let until = beat.lease_expires_at;
                    self.world.add_violation(format!(
                        "a heartbeat at {sent} extended the lease only until {until:?}"
                    ));
                }
                true
            }
            Some(Ok(_)) => {
                self.world.shared.tally.count(Event::StaleCallRefused);
                false
            }
            Some(Err(_)) | None => true,
        }
    }

    /// Appends an entry. The worker ignores a failure: the judge checks the table.
    async fn append(&mut self, job: &Job) {
        let entries = [self.entry("thinking")];
        let (app, id) = (self.function().app(), self.id.clone());
        let appended = append(&app, &id, &job.conversation.id, &job.lease.id, 0, &entries, None);
        if let Some(Ok(_)) = self.functions[0].call(Operation::Append, appended).await {
            self.world.answers.appended.lock().unwrap().push(job.lease.id.clone());
        }
    }

    /// A history entry with the time of the worker's own clock.
    fn entry(&self, text: &str) -> HistoryEntry {
        HistoryEntry { role: Role::Assistant, content: text.to_owned(), at: self.clock.now() }
    }

    async fn complete_message(&mut self, job: &Job) {
        let message = &job.lease.entry.message;
        let world = self.world.clone();
        for _ in 0..MAX_SENDINGS {
            let with = CompleteWith {
                history: vec![self.entry("answer")],
                pending_tool_calls: None,
                metadata: Default::default(),
                reply: Some(Reply { text: reply_to(message.as_str()), format: ReplyFormat::Plain }),
                delivery: None,
                usage: None,
            };
            let (app, id) = (self.function().app(), self.id.clone());
            let completed = complete(&app, &id, message, &job.lease.id, with, DeliveredBy::Outbox);
            match self.functions[0].call(Operation::Complete, completed).await {
                Some(Ok(())) => {
                    let fence = job.lease.id.parts().fence.0;
                    world.note(|| format!("{id}: {message} done under fence {fence}"));
                    let before = world.answers.completed.lock().unwrap().insert(message.to_string(), fence);
                    if before.is_some_and(|b| b != fence) {
                        world.add_violation(format!(
                            "the completion of {message} was answered under fences {before:?} and {fence}"
                        ));
                    }
                    return;
                }
                Some(Err(AppError::Refused(refusal))) if refusal.code == Code::StaleLease => {
                    return world.shared.tally.count(Event::StaleCallRefused);
                }
                _ => tokio::time::sleep(self.within(3_000)).await,
            }
        }
    }

    async fn report_failure(&mut self, job: &Job) {
        let retry = if self.rng.random_bool(0.85) { Retry::After(None) } else { Retry::Never };
        for _ in 0..MAX_SENDINGS {
            let (app, id) = (self.function().app(), self.id.clone());
            let failed = fail(&app, &id, &job.lease.entry.message, &job.lease.id, "no luck", retry);
            match self.functions[0].call(Operation::Fail, failed).await {
                Some(Ok(failed)) => {
                    self.world.shared.tally.count(Event::Failed);
                    let outcome = match (failed.requeued, failed.dead_lettered) {
                        (true, _) => "requeued",
                        (_, true) => "dead_letter",
                        _ => "cancelled",
                    };
                    return self.world.answers.failed.lock().unwrap().push((job.lease.id.clone(), outcome));
                }
                None | Some(Err(AppError::Store(_) | AppError::Overtaken(_))) => {
                    tokio::time::sleep(self.within(3_000)).await;
                }
                Some(Err(_)) => return,
            }
        }
    }
}
