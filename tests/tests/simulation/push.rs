//! Push jobs and broadcasts. Apps create, change, trigger and delete jobs in several time zones. Operators send broadcasts
//! and cancel some of them. Dispatchers run as the schedule triggers them, several at once, and each run may die.

use std::sync::Arc;
use std::time::Duration;

use af_app::AppError;
use af_app::push::broadcasts::{self, NewBroadcast};
use af_app::push::jobs::{self, JobChange, NewJob};
use af_app::push::run_due::run_due;
use af_app::push::trigger::trigger;
use af_domain::agent::{Binding, BindingSource, conversation_of};
use af_domain::ids::{AgentKey, BindingId, CompanyId, ConsumerUserId, PushJobId};
use af_domain::push::{PushJob, Schedule, ZoneName};
use af_domain::refusal::Code;
use af_domain::time::{Millis, Timestamp};
use af_store::push::JobPlace;
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::costs::Operation;
use crate::instance::Instance;
use crate::tally::Event;
use crate::world::{AGENT, World};

/// Zones with their offsets in minutes, which do not change in the months around a world.
pub const ZONES: [(&str, i64); 5] = [
    ("UTC", 0),
    ("Europe/Rome", 60),
    ("Asia/Kathmandu", 345),
    ("America/New_York", -300),
    ("Pacific/Apia", 780),
];
/// Limit of the jobs and of the broadcasts of a world. Their messages keep the workers busy.
const MAX_JOBS: usize = 5;
const MAX_BROADCASTS: u64 = 2;
/// Jobs that exist when a world begins.
const FIRST_JOBS: usize = 3;
/// The longest outage of the dispatcher before a world begins, days.
const MAX_OUTAGE_DAYS: u64 = 4;
/// How far ahead of its change the next slot of a job is at most, in minutes.
const MAX_MINUTES_AHEAD: u64 = 2;
/// Longest pause between two calls of an app, ms.
const MAX_PAUSE_MS: u64 = 25_000;
/// Longest pause between two broadcasts, and until a broadcast is cancelled, ms.
const MAX_BROADCAST_PAUSE_MS: u64 = 120_000;
const MAX_CANCEL_AFTER_MS: u64 = 30_000;
/// Longest pause between two triggers of the schedule, ms; shorter in the final phase, in which the world waits for them.
const MAX_TRIGGER_PAUSE_MS: u64 = 40_000;
const MAX_FINAL_PAUSE_MS: u64 = 10_000;
/// Dispatchers at the same time.
const MAX_DISPATCHERS: usize = 3;
/// How often a caller sends the same call before it gives up.
const MAX_SENDINGS: usize = 4;
/// One world in this many has push jobs. The others stay as they are without them.
const ONE_IN: u32 = 3;

/// Whether the world of `seed` has push jobs and broadcasts.
pub fn is_push_seed(seed: u64) -> bool {
    StdRng::seed_from_u64(seed ^ 0x9054).random_ratio(1, ONE_IN)
}

/// The text of every job of a user.
pub fn text_for(user: &str) -> String {
    format!("push for {user}")
}

/// A schedule whose next slot is some minutes after `now`, with its zone.
fn schedule(rng: &mut StdRng, now: Timestamp) -> (Schedule, &'static str) {
    let (zone, offset) = ZONES[rng.random_range(0..ZONES.len())];
    let minute = now.as_millis() / 60_000 + rng.random_range(1..=MAX_MINUTES_AHEAD);
    let local = minute.saturating_add_signed(offset);
    let (day, time) = (local / 1_440, format!("{:02}:{:02}", local % 1_440 / 60, local % 60));
    let text = match rng.random_range(0..6) {
        // The first of January 1970 was a Thursday.
        0 => format!("weekly {} {time}", (day + 3) % 7 + 1),
        1 => format!("monthly last {time}"),
        2 => format!("monthly {} {time}", rng.random_range(29..=31)),
        _ => format!("daily {time}"),
    };
    (Schedule::parse(&text).unwrap(), zone)
}

/// Stores the jobs of users for whom no dispatcher has run in the last days. Most of these users are bound.
pub async fn prepare(world: &World) {
    if !is_push_seed(world.seed) {
        return;
    }
    let (app, _) = world.app(0);
    let mut rng = world.rng(110);
    let agent = AgentKey::parse(AGENT).unwrap();
    for (user, conversation) in world.conversations.iter().take(FIRST_JOBS) {
        let since = app.now() - Millis::from_days(rng.random_range(0..=MAX_OUTAGE_DAYS));
        let (schedule, zone) = schedule(&mut rng, since);
        let mut job = PushJob {
            id: PushJobId::parse(app.entropy.ulid(since)).unwrap(),
            company: CompanyId::unnamed(),
            user: user.clone(),
            agent: agent.clone(),
            template: None,
            title: "Morning".to_owned(),
            text: text_for(user.as_str()),
            schedule,
            zone: ZoneName::from_stored(zone),
            enabled: true,
            next: None,
            last: None,
            created_at: since,
            updated_at: since,
            version: 1,
        };
        job.next = job.first_run(since).unwrap();
        app.store.create_push_job_if_room(&job, None).await.unwrap();
        if rng.random_bool(0.8) {
            let binding = Binding {
                id: BindingId::parse(app.entropy.ulid(since)).unwrap(),
                user: user.clone(),
                agent: agent.clone(),
                conversation: conversation.clone(),
                telegram: None,
                source: BindingSource::Api,
                bound_at: since,
            };
            app.store.bind_if_unchanged(&binding, &[]).await.unwrap();
        }
    }
}

/// Starts the actors of a world with push jobs.
pub fn spawn(world: &Arc<World>, actors: &mut tokio::task::JoinSet<()>) {
    if is_push_seed(world.seed) {
        actors.spawn(jobs_of_apps(world.clone(), 110));
        actors.spawn(broadcasts_of_operators(world.clone(), 112));
        actors.spawn(dispatchers(world.clone(), 114));
    }
}

/// The schedule of the dispatcher. EventBridge may trigger it twice, and a run may last until the next trigger.
async fn dispatchers(world: Arc<World>, actor: u64) {
    let mut rng = world.rng(actor);
    let mut functions: [Instance; MAX_DISPATCHERS] =
        std::array::from_fn(|n| Instance::new(&world, actor * 10 + n as u64, Event::DispatcherDied));
    loop {
        let longest = if world.is_in_final_phase() { MAX_FINAL_PAUSE_MS } else { MAX_TRIGGER_PAUSE_MS };
        tokio::time::sleep(Duration::from_millis(rng.random_range(1..longest))).await;
        let at_once = rng.random_range(1..=MAX_DISPATCHERS);
        if at_once > 1 {
            world.shared.tally.count(Event::DispatchersAtOnce);
        }
        let budget = Duration::from_secs([0, 1, 240][rng.random_range(0..3)]);
        let runs = functions[..at_once].iter_mut().map(|function| async {
            let app = function.app();
            function.call(Operation::Dispatch, Box::pin(run_due(&app, budget))).await
        });
        for ran in join_all(runs).await {
            world.note(|| format!("a dispatcher ended: {ran:?}"));
        }
    }
}

/// Creates, changes, triggers and deletes jobs.
async fn jobs_of_apps(world: Arc<World>, actor: u64) {
    let mut caller = Caller::new(&world, actor);
    let mut known: Vec<JobPlace> = Vec::new();
    let mut number = 0;
    while !world.is_in_final_phase() {
        caller.wait(MAX_PAUSE_MS).await;
        number += 1;
        let place = (!known.is_empty()).then(|| known[caller.rng.random_range(0..known.len())].clone());
        match (caller.rng.random_range(0..10), place) {
            (0, Some(place)) => caller.delete(&place).await,
            (1, Some(place)) => caller.trigger(&place, number).await,
            (2..7, Some(place)) => caller.change(&place).await,
            _ if known.len() < MAX_JOBS => known.extend(caller.create(number).await),
            _ => {}
        }
    }
}

/// Sends broadcasts, and cancels some of them a moment later.
async fn broadcasts_of_operators(world: Arc<World>, actor: u64) {
    let mut caller = Caller::new(&world, actor);
    for number in 0..MAX_BROADCASTS {
        caller.wait(MAX_BROADCAST_PAUSE_MS).await;
        if world.is_in_final_phase() {
            return;
        }
        caller.broadcast(number).await;
    }
}

/// A client of the API. It repeats a call without an answer with the same idempotency key.
struct Caller {
    world: Arc<World>,
    rng: StdRng,
    function: Instance,
}

/// The answer to a call.
enum Answer<T> {
    Yes(T),
    /// The call is refused, and it may be.
    No,
    /// The outcome is unknown, or other calls were faster.
    Unknown,
}

impl Caller {
    fn new(world: &Arc<World>, actor: u64) -> Self {
        let function = Instance::new(world, actor, Event::UserFunctionDied);
        Self { world: world.clone(), rng: world.rng(actor), function }
    }

    async fn wait(&mut self, max_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.rng.random_range(1..max_ms))).await;
    }

    /// Classifies an answer. A user may be without the agent, the agent may be stopped, and a job may be deleted. An
    /// operator may be too late to cancel a broadcast. Other refusals are violations.
    fn classified<T>(&self, what: &str, answer: Option<Result<T, AppError>>) -> Answer<T> {
        match answer {
            Some(Ok(answer)) => Answer::Yes(answer),
            None | Some(Err(AppError::Store(_) | AppError::Overtaken(_))) => Answer::Unknown,
            Some(Err(AppError::Refused(refusal)))
                if matches!(refusal.code, Code::NotFound | Code::Conflict | Code::AgentDisabled) =>
            {
                Answer::No
            }
            Some(Err(other)) => {
                self.world.add_violation(format!("{what} was refused: {other}"));
                Answer::No
            }
        }
    }

    async fn create(&mut self, number: u64) -> Option<JobPlace> {
        let (user, _) =
            self.world.conversations[self.rng.random_range(0..self.world.conversations.len())].clone();
        let (schedule, zone) = schedule(&mut self.rng, self.world.now());
        let agent = AgentKey::parse(AGENT).unwrap();
        let new = NewJob {
            company: None,
            template: None,
            title: Some("Morning".to_owned()),
            text: Some(text_for(user.as_str())),
            periodicity: None,
            timezone: Some(zone.to_owned()),
            schedule: Some(schedule),
            enabled: true,
        };
        for _ in 0..MAX_SENDINGS {
            let app = self.function.app();
            let once = af_app::intake::idempotency::call(&app, "app", &number.to_string(), &["create"]);
            let created = jobs::create(&app, &user, &agent, new.clone(), Some(&once));
            let created = self.function.call(Operation::ManagePush, created).await;
            match self.classified("a push job", created) {
                Answer::Yes(job) => {
                    self.note_created(&job);
                    return Some(JobPlace { user: job.user, agent: job.agent, id: job.id });
                }
                Answer::No => return None,
                Answer::Unknown => self.wait(3_000).await,
            }
        }
        None
    }

    fn note_created(&self, job: &PushJob) {
        self.world.note(|| format!("{} has the job {} {} {}", job.user, job.id, job.schedule, job.zone));
        self.world.answers.push.lock().unwrap().created.push(job.id.to_string());
    }

    async fn change(&mut self, place: &JobPlace) {
        let (schedule, zone) = schedule(&mut self.rng, self.world.now());
        let change = match self.rng.random_range(0..6) {
            0 => JobChange { enabled: Some(false), ..JobChange::default() },
            1 => JobChange { title: Some("Evening".to_owned()), ..JobChange::default() },
            _ => JobChange {
                enabled: Some(true),
                schedule: Some(schedule),
                timezone: Some(zone.to_owned()),
                ..JobChange::default()
            },
        };
        let app = self.function.app();
        let changed = self.function.call(Operation::ManagePush, jobs::change(&app, place, &change)).await;
        if let Answer::Yes(job) = self.classified("the change of a push job", changed) {
            self.world
                .note(|| format!("{} runs {} {}, enabled {}", job.id, job.schedule, job.zone, job.enabled));
            self.world.shared.tally.count(Event::PushJobChanged);
        }
    }

    async fn delete(&mut self, place: &JobPlace) {
        let app = self.function.app();
        let deleted = self.function.call(Operation::ManagePush, jobs::delete(&app, place)).await;
        if let Answer::Yes(()) = self.classified("the deletion of a push job", deleted) {
            self.world.shared.tally.count(Event::PushJobDeleted);
        }
    }

    async fn trigger(&mut self, place: &JobPlace, number: u64) {
        self.world.answers.push.lock().unwrap().trigger_calls += 1;
        for _ in 0..MAX_SENDINGS {
            let app = self.function.app();
            let once = af_app::intake::idempotency::call(&app, "app", &number.to_string(), &["trigger"]);
            let triggered =
                self.function.call(Operation::ManagePush, trigger(&app, place, Some(&once))).await;
            match self.classified("a trigger", triggered) {
                Answer::Yes(dispatch) => {
                    self.world.shared.tally.count(Event::PushJobTriggered);
                    let run = dispatch.run_key.to_string();
                    return self.world.answers.push.lock().unwrap().triggered.push(run);
                }
                Answer::No => return,
                Answer::Unknown => self.wait(3_000).await,
            }
        }
    }

    async fn broadcast(&mut self, number: u64) {
        let new = NewBroadcast {
            company: None,
            title: "News".to_owned(),
            text: format!("broadcast {number}"),
            requested_by: "an operator".to_owned(),
        };
        self.world.answers.push.lock().unwrap().broadcast_calls += 1;
        for _ in 0..MAX_SENDINGS {
            let app = self.function.app();
            let once =
                af_app::intake::idempotency::call(&app, "operator", &number.to_string(), &["broadcast"]);
            let sent = broadcasts::send(&app, new.clone(), Some(&once));
            let sent = self.function.call(Operation::ManagePush, sent).await;
            match self.classified("a broadcast", sent) {
                Answer::Yes(broadcast) => {
                    self.world.answers.push.lock().unwrap().sent.push(broadcast.id.to_string());
                    if self.rng.random_bool(0.4) {
                        self.wait(MAX_CANCEL_AFTER_MS).await;
                        self.cancel(&broadcast.id).await;
                    }
                    return;
                }
                Answer::No => return,
                Answer::Unknown => self.wait(3_000).await,
            }
        }
    }

    async fn cancel(&mut self, id: &af_domain::ids::BroadcastId) {
        let app = self.function.app();
        let cancelled = self.function.call(Operation::ManagePush, broadcasts::cancel(&app, id)).await;
        if let Answer::Yes(_) = self.classified("the cancellation of a broadcast", cancelled) {
            self.world.answers.push.lock().unwrap().cancelled.push(id.to_string());
        }
    }
}

/// The conversation of a dispatch to a user of an agent, or to an agent without users.
pub fn conversation_to(agent: &str, user: Option<&str>) -> String {
    let agent = AgentKey::parse(agent).unwrap();
    let conversation = match user {
        Some(user) => conversation_of(&agent, &ConsumerUserId::parse(user).unwrap()).unwrap(),
        None => af_domain::push::conversation_without_user(&agent).unwrap(),
    };
    crate::queue_operations::partition(&conversation)
}
