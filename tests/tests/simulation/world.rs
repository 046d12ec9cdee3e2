//! One world: a table, users, workers, reconcile, and an end at which everything accepted must have ended.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use af_app::{App, Boot};
use af_domain::agent::conversation_of;
use af_domain::ids::{AgentKey, ConsumerUserId, ConversationId, WorkerId};
use af_domain::time::Timestamp;
use af_emulator_aws::{Engine, LocalAws, Secrets, TableDefinition};
use af_providers::Providers;
use af_runtime::clock::Clock;
use af_runtime::entropy::Entropy;
use af_runtime::env::Env;
use af_sam::stream::filter::Pattern;
use af_sam::template::{EventDef, Template};
use af_tests::world::agent_settings;
use aws_smithy_types::retry::RetryConfig;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;

use crate::answers::Answers;
use crate::clock::SimClock;
use crate::costs::Dearest;
use crate::effects::{self, Ledger};
use crate::faults::{Shared, Troubles};
use crate::judge::Judge;
use crate::mutations::Mutation;
use crate::pool::SimProvider;
use crate::tally::{Event, Tally};
use crate::{operators, reconciler, users, workers};

/// Agent of every conversation.
pub const AGENT: &str = "agent";
/// The most conversations, users and operators of a world.
const CONVERSATIONS_MAX: usize = 6;
const USERS_MAX: u64 = 4;
const OPERATORS_MAX: u64 = 2;
/// How long users send and everything goes wrong, in virtual time.
const TROUBLED: Duration = Duration::from_secs(240);
/// How long the world has to come to rest, in virtual time: all retries of a poison message, and leases between.
const REST_MAX: Duration = Duration::from_secs(3_600);
/// Between two looks of the judge.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Lines of a trace that are kept.
const TRACE_LINES_MAX: usize = 400;

/// What every world is deployed from.
static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let yaml = fs::read_to_string(af_tests::workspace::root().join("infra/template.yaml")).unwrap();
    Template::parse(&yaml, &BTreeMap::new()).unwrap()
});

/// How a world went.
pub struct Verdict {
    pub seed: u64,
    pub broken: Option<String>,
    pub tally: Tally,
    /// What operations took while nothing went wrong.
    pub dearest: Dearest,
    /// A hash of every change of the table, in order.
    pub history: u64,
    /// The last of what happened, where it was asked for.
    pub trace: VecDeque<String>,
}

impl Verdict {
    /// A world that broke down before it could be judged.
    pub fn broken(seed: u64, how: String) -> Self {
        let (tally, trace) = (Tally::default(), VecDeque::new());
        Self { seed, broken: Some(how), tally, dearest: Dearest::new(), history: 0, trace }
    }
}

/// What actors share.
pub struct World {
    pub seed: u64,
    pub clock: SimClock,
    pub shared: Arc<Shared>,
    pub provider: Arc<SimProvider>,
    /// The conversations of this world, each with its user.
    pub conversations: Vec<(ConsumerUserId, ConversationId)>,
    /// Chances in a hundred that a worker freezes over a message.
    pub freezes: u32,
    pub answers: Answers,
    /// What has been counted from the stream, and what the judge has seen there and effects have not.
    pub ledger: Mutex<Ledger>,
    aws: LocalAws,
    /// Whether nothing new happens any more.
    resting: AtomicBool,
    trace: Option<Mutex<VecDeque<String>>>,
}

impl World {
    /// What a function instance comes up with: its network, its randomness, its clock.
    pub fn app(&self, instance: u64) -> (App, Arc<Troubles>) {
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(instance);
        let troubles = Troubles::new(seed, self.shared.clone());
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
            sdk: self.aws.clone().with_faults(troubles.clone()).sdk_config(RetryConfig::disabled()),
            clock: Arc::new(clock),
            entropy: Arc::new(Entropy::seeded(seed)),
            providers: Providers::none().with(self.provider.clone()),
        };
        (App::from_boot(&boot).unwrap(), troubles)
    }

    /// Whether nothing goes wrong at the moment.
    pub fn calm(&self) -> bool {
        !self.shared.on.load(Ordering::Relaxed)
    }

    /// Whether users and operators have gone home and machines are sound.
    pub fn resting(&self) -> bool {
        self.resting.load(Ordering::Relaxed)
    }

    /// The true time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
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
        if trace.len() >= TRACE_LINES_MAX {
            trace.pop_front();
        }
        trace.push_back(format!("{} {}", self.now().as_millis() % 10_000_000, line()));
    }

    pub fn complain(&self, complaint: String) {
        self.answers.complain(complaint);
    }
}

/// What the stream brings to the function effects, as the template has it.
pub fn effects_filters() -> Vec<Pattern> {
    let effects = TEMPLATE.functions.iter().find(|f| f.binary == "effects").unwrap();
    let filters = effects.events.iter().find_map(|event| match event {
        EventDef::Stream { filters, .. } => Some(filters),
        _ => None,
    });
    filters.unwrap().iter().map(|f| Pattern::compile(f).unwrap()).collect()
}

/// Runs the world of `seed` on this thread.
pub fn run(seed: u64, mutation: Mutation, trace: bool) -> Verdict {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(live(seed, mutation, trace))
}

async fn live(seed: u64, mutation: Mutation, trace: bool) -> Verdict {
    let (started, new_machines) = mpsc::unbounded_channel();
    let (meddlers, collisions) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::new(seed, mutation, meddlers));
    let world = Arc::new(begin(seed, shared, trace, SimProvider::new(started)).await);
    prepare(&world).await;
    let mut judge = Judge::new(&world);
    let broken = act(&world, &mut judge, new_machines, collisions).await.err();
    let tally = Tally::default();
    tally.add(&world.shared.tally);
    let trace = world.trace.as_ref().map(|t| t.lock().unwrap().clone()).unwrap_or_default();
    let dearest = world.shared.costs.dearest();
    Verdict { seed, broken, tally, dearest, history: judge.history(), trace }
}

/// Lets actors act until everything accepted has ended, or something is broken.
async fn act(
    world: &Arc<World>,
    judge: &mut Judge,
    mut new_machines: mpsc::UnboundedReceiver<WorkerId>,
    collisions: mpsc::UnboundedReceiver<String>,
) -> Result<(), String> {
    let mut rng = world.rng(2);
    let mut actors = tokio::task::JoinSet::new();
    for user in 0..rng.random_range(1..=USERS_MAX) {
        actors.spawn(users::user(world.clone(), user));
    }
    actors.spawn(users::meddler(world.clone(), collisions, 50));
    for operator in 0..rng.random_range(1..=OPERATORS_MAX) {
        actors.spawn(operators::operator(world.clone(), 60 + operator));
    }
    actors.spawn(reconciler::reconciler(world.clone(), 100));
    actors.spawn(reconciler::reconciler(world.clone(), 101));
    actors.spawn(effects::effects(world.clone(), 70));
    let mut machines = 10_000;
    let mut lived = Duration::ZERO;
    let judged = loop {
        while let Ok(worker) = new_machines.try_recv() {
            machines += 10;
            actors.spawn(workers::worker(world.clone(), worker, machines));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        lived += LOOK_EVERY;
        if lived == TROUBLED {
            world.shared.on.store(false, Ordering::Relaxed);
            world.resting.store(true, Ordering::Relaxed);
            world.note(|| "no more troubles".to_owned());
        }
        let looked = judge.look(world);
        if looked.is_err() {
            break looked;
        }
        if lived > TROUBLED && judge.is_at_rest(world) {
            break judge.judge_the_end(world);
        }
        if lived > TROUBLED + REST_MAX {
            break Err(judge.unfinished(world));
        }
    };
    actors.shutdown().await;
    judged
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
        clock,
        shared,
        provider,
        conversations: (0..rng.random_range(1..=CONVERSATIONS_MAX)).map(conversation).collect(),
        freezes: [2, 6, 25][rng.random_range(0..3)],
        answers: Answers::default(),
        ledger: Mutex::default(),
        aws: LocalAws::new(engine, Secrets::memory()),
        resting: AtomicBool::new(false),
        trace: trace.then(Mutex::default),
    }
}

fn conversation(number: usize) -> (ConsumerUserId, ConversationId) {
    let user = ConsumerUserId::parse(format!("u{number}")).unwrap();
    let conversation = conversation_of(&AgentKey::parse(AGENT).unwrap(), &user).unwrap();
    (user, conversation)
}

/// An agent, a provider, and the first policies of this world, while nothing goes wrong yet.
async fn prepare(world: &World) {
    let (app, _) = world.app(0);
    let settings = agent_settings();
    af_app::agents::profiles::configure(&app, &AgentKey::parse(AGENT).unwrap(), settings).await.unwrap();
    let key = af_domain::ids::SecretRef::parse(af_app::access::worker_token::SIGNING_KEY_REF).unwrap();
    app.secrets.put(&key, secrecy::SecretString::from("a signing key"), app.now()).await.unwrap();
    let config = af_providers::LocalConfig::default().into();
    af_app::pool::provider::configure(&app, &config).await.unwrap();
    let mut rng = world.rng(1);
    let switch_after = [0, 5_000, 60_000][rng.random_range(0..3)];
    let drain_timeout = [1_000, 10_000, 60_000][rng.random_range(0..3)];
    // Most of what a world costs is workers who find nothing.
    let poll_every = [1_000, 5_000, 10_000][rng.random_range(0..3)];
    let overrides = serde_json::json!({
        "scaling": {
            "maxWorkers": rng.random_range(1..=4), "spawnStep": rng.random_range(1..=3),
            "switchAfterQuietMs": switch_after,
            "idleTimeoutMs": 60_000, "drainTimeoutMs": drain_timeout,
        },
        "poll": {"activeMs": poll_every},
        "retry": {"maxAttempts": rng.random_range(2..=5), "maxDelayMs": 20_000},
        "queue": {"onRetry": if rng.random_bool(0.75) { "block" } else { "overtake" }},
    });
    let overrides = serde_json::from_value(overrides).unwrap();
    af_app::settings::policies::set(&app, overrides).await.unwrap();
    // Until every replica has it.
    tokio::time::sleep(crate::faults::BEHIND_MAX).await;
    world.shared.on.store(!world.shared.always_calm, Ordering::Relaxed);
}
