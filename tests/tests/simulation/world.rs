//! One world: a table, users, operators, workers and reconcile. At its end every accepted message must have ended.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use af_app::{App, Boot};
use af_domain::agent::conversation_of;
use af_domain::ids::{AgentKey, ConsumerUserId, ConversationId, WorkerId};
use af_domain::refusal::{Code, Refusal};
use af_domain::time::Timestamp;
use af_emulator_aws::{Engine, LocalAws, Secrets, TableDefinition};
use af_providers::Providers;
use af_runtime::clock::Clock;
use af_runtime::entropy::Entropy;
use af_runtime::env::Env;
use af_runtime::time::Waits;
use af_sam::stream::filter::Pattern;
use af_sam::template::{EventDef, Template};
use aws_smithy_types::retry::RetryConfig;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;

use crate::answers::Answers;
use crate::clock::SimClock;
use crate::costs::PeakRequests;
use crate::effects::{self, Ledger};
use crate::faults::{InstanceFaults, Shared};
use crate::judge::Judge;
use crate::mutations::Mutation;
use crate::pool::SimProvider;
use crate::tally::{Event, Tally};
use crate::telegram::SimTelegram;
use crate::{bindings, operators, people, push, reconciler, telegram, users, workers};

/// Agent of every conversation.
pub const AGENT: &str = "agent";
/// Limits of the conversations, users and operators of a world.
const MAX_CONVERSATIONS: usize = 6;
const MAX_USERS: u64 = 4;
const MAX_OPERATORS: u64 = 2;
/// Consumer apps that change bindings at the same time.
const BINDERS: u64 = 2;
/// How long users send and faults happen, in virtual time.
const FAULT_PHASE: Duration = Duration::from_secs(240);
/// Longest final phase, in virtual time: it includes all retries and leases of a message that always fails.
const MAX_FINAL_PHASE: Duration = Duration::from_secs(3_600);
/// The policy `lease.maxRunMs` of every world. No worker reaches it without a fault.
pub const MAX_RUN: Duration = Duration::from_secs(60);
/// Time between two checks of the judge.
pub const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Lines of a trace that are kept.
const MAX_TRACE_LINES: usize = 400;

/// The template from which every world is deployed.
static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let yaml = fs::read_to_string(af_tests::workspace::root().join("infra/template.yaml")).unwrap();
    Template::parse(&yaml, &BTreeMap::new()).unwrap()
});

/// The result of a world.
pub struct Verdict {
    pub seed: u64,
    /// The first violation of an invariant.
    pub violation: Option<String>,
    pub tally: Tally,
    /// The largest request counts of operations while faults were off.
    pub peak_requests: PeakRequests,
    /// A hash of every change of the table, in order.
    pub history: u64,
    /// The last lines of the trace, if a trace was requested.
    pub trace: VecDeque<String>,
}

impl Verdict {
    /// The result of a world that panicked.
    pub fn of_panic(seed: u64, violation: String) -> Self {
        let (tally, trace) = (Tally::default(), VecDeque::new());
        Self {
            seed,
            violation: Some(violation),
            tally,
            peak_requests: PeakRequests::new(),
            history: 0,
            trace,
        }
    }
}

/// The state that all actors share.
pub struct World {
    pub seed: u64,
    pub clock: SimClock,
    pub shared: Arc<Shared>,
    pub provider: Arc<SimProvider>,
    /// The conversations of this world, each with its user.
    pub conversations: Vec<(ConsumerUserId, ConversationId)>,
    /// The chance in a hundred that a worker freezes during a message.
    pub freezes: u32,
    pub answers: Answers,
    pub telegram: Arc<SimTelegram>,
    /// Whether the agent was ever stopped. Then calls that need the agent may be refused.
    pub has_stopped_agent: AtomicBool,
    /// The counts of the delivered records, and the records that the judge has read and effects has not.
    pub ledger: Mutex<Ledger>,
    aws: LocalAws,
    /// Whether the final phase has begun, in which users and operators do nothing new.
    is_in_final_phase: AtomicBool,
    trace: Option<Mutex<VecDeque<String>>>,
}

impl World {
    /// The use cases of a function instance with its own network, randomness and clock.
    pub fn app(&self, instance: u64) -> (App, Arc<InstanceFaults>) {
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(instance);
        let faults = InstanceFaults::new(seed, self.shared.clone());
        let clock = self.clock.server(seed);
        if clock.was_set_back() {
            self.shared.tally.count(Event::ServerClockBack);
        }
        let mut environment = BTreeMap::new();
        for function in &TEMPLATE.functions {
            environment.extend(function.environment.clone());
        }
        environment.insert("PUBLIC_URL".to_owned(), "http://127.0.0.1:9".to_owned());
        environment.remove("TELEGRAM_API_URL");
        let boot = Boot {
            env: Env::from(environment),
            sdk: self.aws.clone().with_faults(faults.clone()).sdk_config(RetryConfig::disabled()),
            clock: Arc::new(clock),
            entropy: Arc::new(Entropy::seeded(seed)),
            providers: Providers::none().with(self.provider.clone()),
            waits: Waits::default(),
        };
        let mut app = App::from_boot(&boot).unwrap();
        app.messenger = Some(self.telegram.line(seed));
        (app, faults)
    }

    /// Whether faults are off at the moment.
    pub fn faults_are_off(&self) -> bool {
        !self.shared.faults_on.load(Ordering::Relaxed)
    }

    /// Whether the final phase has begun: users and operators no longer act, and machines no longer fail.
    pub fn is_in_final_phase(&self) -> bool {
        self.is_in_final_phase.load(Ordering::Relaxed)
    }

    /// Whether this refusal says that the agent is disabled or deleted, and it may be.
    pub fn is_agent_stopped(&self, refusal: &Refusal) -> bool {
        let says_so = matches!(refusal.code, Code::AgentDisabled | Code::NotFound);
        says_so && self.has_stopped_agent.load(Ordering::Relaxed)
    }

    /// The true time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The user and the agent of the conversation in this partition.
    pub fn owner_of(&self, partition: &str) -> Option<(&ConsumerUserId, &'static str)> {
        let users = self.conversations.iter().map(|(user, _)| user);
        users
            .flat_map(|user| [(user, AGENT), (user, bindings::OTHER_AGENT)])
            .find(|(user, agent)| push::conversation_to(agent, Some(user.as_str())) == partition)
    }

    pub fn table(&self) -> String {
        TEMPLATE.tables[0].name.clone()
    }

    pub fn engine(&self) -> &Engine {
        self.aws.engine()
    }

    /// An actor's own randomness.
    pub fn rng(&self, actor: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(7_919).wrapping_add(actor))
    }

    pub fn note(&self, line: impl FnOnce() -> String) {
        let Some(trace) = &self.trace else { return };
        let mut trace = trace.lock().unwrap();
        if trace.len() >= MAX_TRACE_LINES {
            trace.pop_front();
        }
        trace.push_back(format!("{} {}", self.now().as_millis() % 10_000_000, line()));
    }

    pub fn add_violation(&self, violation: String) {
        self.answers.add_violation(violation);
    }
}

/// The filters between the stream and the function effects, from the template.
pub fn effects_filters() -> Vec<Pattern> {
    let effects = TEMPLATE.functions.iter().find(|f| f.binary == "effects").unwrap();
    let filters = effects.events.iter().find_map(|event| match event {
        EventDef::Stream(mapping) => Some(mapping.filters.clone()),
        _ => None,
    });
    filters.unwrap()
}

/// Runs the world of `seed` on this thread.
pub fn run(seed: u64, mutation: Mutation, trace: bool) -> Verdict {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(live(seed, mutation, trace))
}

async fn live(seed: u64, mutation: Mutation, trace: bool) -> Verdict {
    let (started, new_machines) = mpsc::unbounded_channel();
    let (collision_requests, collisions) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::new(seed, mutation, collision_requests));
    let world = Arc::new(begin(seed, shared, trace, SimProvider::new(started)).await);
    prepare(&world).await;
    let mut judge = Judge::new(&world);
    let violation = act(&world, &mut judge, new_machines, collisions).await.err();
    let tally = Tally::default();
    tally.add(&world.shared.tally);
    let trace = world.trace.as_ref().map(|t| t.lock().unwrap().clone()).unwrap_or_default();
    let peak_requests = world.shared.costs.peak_requests();
    Verdict { seed, violation, tally, peak_requests, history: judge.history(), trace }
}

/// Runs the actors until every accepted message has ended, or until the judge finds a violation.
async fn act(
    world: &Arc<World>,
    judge: &mut Judge,
    mut new_machines: mpsc::UnboundedReceiver<WorkerId>,
    collisions: mpsc::UnboundedReceiver<String>,
) -> Result<(), String> {
    let mut rng = world.rng(2);
    let mut actors = tokio::task::JoinSet::new();
    for user in 0..rng.random_range(1..=MAX_USERS) {
        actors.spawn(users::user(world.clone(), user));
    }
    actors.spawn(users::concurrent_writer(world.clone(), collisions, 50));
    for operator in 0..rng.random_range(1..=MAX_OPERATORS) {
        actors.spawn(operators::operator(world.clone(), 60 + operator));
    }
    for binder in 0..BINDERS {
        actors.spawn(bindings::binder(world.clone(), 80 + binder));
    }
    // In most worlds the agent is never stopped, because everything waits meanwhile.
    if rng.random_bool(0.4) {
        actors.spawn(bindings::stopper(world.clone(), 90));
    }
    actors.spawn(reconciler::reconciler(world.clone(), 100));
    actors.spawn(reconciler::reconciler(world.clone(), 101));
    actors.spawn(effects::effects(world.clone(), 70));
    actors.spawn(telegram::schedule(world.clone(), 75));
    actors.spawn(people::people(world.clone(), 40));
    push::spawn(world, &mut actors);
    let mut machines = 10_000;
    let mut elapsed = Duration::ZERO;
    let result = loop {
        while let Ok(worker) = new_machines.try_recv() {
            machines += 10;
            actors.spawn(workers::worker(world.clone(), worker, machines));
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
        elapsed += CHECK_INTERVAL;
        if elapsed == FAULT_PHASE {
            world.shared.faults_on.store(false, Ordering::Relaxed);
            world.is_in_final_phase.store(true, Ordering::Relaxed);
            world.note(|| "no more faults".to_owned());
        }
        let checked = judge.check(world);
        if checked.is_err() {
            break checked;
        }
        if elapsed > FAULT_PHASE && judge.is_everything_done(world) {
            break judge.check_final_state(world);
        }
        if elapsed > FAULT_PHASE + MAX_FINAL_PHASE {
            break Err(judge.unfinished_work(world));
        }
    };
    actors.shutdown().await;
    result
}

async fn begin(seed: u64, shared: Arc<Shared>, trace: bool, provider: Arc<SimProvider>) -> World {
    let clock = SimClock::begin();
    let engine = Engine::memory(Arc::new(clock.clone())).unwrap();
    let definition = |t: &af_sam::template::TableDef| TableDefinition {
        create: t.create_table.clone(),
        ttl_attribute: t.ttl_attribute.clone(),
    };
    engine.create_tables(&TEMPLATE.tables.iter().map(definition).collect::<Vec<_>>()).await.unwrap();
    let mut rng = StdRng::seed_from_u64(seed ^ 0xc0);
    World {
        seed,
        telegram: SimTelegram::new(clock.clone(), shared.clone()),
        clock,
        shared,
        provider,
        conversations: (0..rng.random_range(1..=MAX_CONVERSATIONS)).map(conversation).collect(),
        freezes: [2, 6, 25][rng.random_range(0..3)],
        answers: Answers::default(),
        has_stopped_agent: AtomicBool::new(false),
        ledger: Mutex::default(),
        aws: LocalAws::new(engine, Secrets::memory()),
        is_in_final_phase: AtomicBool::new(false),
        trace: trace.then(Mutex::default),
    }
}

fn conversation(number: usize) -> (ConsumerUserId, ConversationId) {
    let user = ConsumerUserId::parse(format!("u{number}")).unwrap();
    let conversation = conversation_of(&AgentKey::parse(AGENT).unwrap(), &user).unwrap();
    (user, conversation)
}

/// Stores an agent, a provider and the first policies of this world. Faults are still off.
async fn prepare(world: &World) {
    let (app, _) = world.app(0);
    bindings::prepare(world).await;
    let key = af_domain::ids::SecretRef::parse(af_app::access::worker_token::SIGNING_KEY_REF).unwrap();
    app.secrets.put(&key, secrecy::SecretString::from("a signing key"), app.now()).await.unwrap();
    let config = af_providers::LocalConfig::default().into();
    af_app::pool::provider::configure(&app, &config).await.unwrap();
    let mut rng = world.rng(1);
    let switch_after = [0, 5_000, 60_000][rng.random_range(0..3)];
    let drain_timeout = [1_000, 10_000, 60_000][rng.random_range(0..3)];
    // Most of a world's run time goes into polls without a message.
    let poll_every = [1_000, 5_000, 10_000][rng.random_range(0..3)];
    let overrides = serde_json::json!({
        "scaling": {
            "maxWorkers": rng.random_range(1..=4), "spawnStep": rng.random_range(1..=3),
            "switchAfterQuietMs": switch_after,
            "idleTimeoutMs": 60_000, "drainTimeoutMs": drain_timeout,
        },
        "poll": {"activeMs": poll_every},
        "lease": {"maxRunMs": u64::try_from(MAX_RUN.as_millis()).unwrap()},
        "retry": {"maxAttempts": rng.random_range(2..=5), "maxDelayMs": 20_000},
        "queue": {"onRetry": if rng.random_bool(0.75) { "block" } else { "overtake" }},
    });
    let overrides = serde_json::from_value(overrides).unwrap();
    af_app::settings::policies::set(&app, overrides).await.unwrap();
    push::prepare(world).await;
    // The world begins when every replica has the policies.
    tokio::time::sleep(crate::faults::MAX_BEHIND).await;
    world.shared.faults_on.store(!world.shared.is_fault_free, Ordering::Relaxed);
}
