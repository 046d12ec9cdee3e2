//! One world: a table, users, workers, reconcile, and an end at which everything accepted must have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use af_app::entropy::Entropy;
use af_app::{App, Boot, Env};
use af_domain::ids::AgentKey;
use af_domain::time::Millis;
use af_local::aws::{Engine, LocalAws, Secrets, TableDefinition};
use af_local::template::Template;
use af_providers::Providers;
use aws_smithy_types::retry::RetryConfig;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;

use crate::checker::Checker;
use crate::clock::SimClock;
use crate::faults::{Shared, Troubles};
use crate::mutations::Mutation;
use crate::pool::SimProvider;
use crate::{reconciler, users, workers};

/// Agent of every conversation.
pub const AGENT: &str = "agent";
/// Conversations of a world.
pub const CONVERSATIONS: usize = 4;
/// Users of a world.
const USERS: u64 = 3;
/// How long users send and everything goes wrong, in virtual time.
const TROUBLED: Duration = Duration::from_secs(240);
/// How long the world has to come to rest, in virtual time: all retries of a poison message, and leases between.
const REST_MAX: Duration = Duration::from_secs(3_600);
/// Between two looks of the checker.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The most that a function's clock is ahead of the true time.
const SKEW_MS_MAX: u64 = 400;

/// How a world went.
pub struct Verdict {
    pub seed: u64,
    pub broken: Option<String>,
    pub requests: u64,
    pub claims: u64,
    pub faults: u64,
}

/// What actors share.
pub struct World {
    pub seed: u64,
    pub clock: SimClock,
    pub shared: Arc<Shared>,
    pub provider: Arc<SimProvider>,
    aws: LocalAws,
    template: Template,
    /// Ids of messages whose acceptance was answered.
    pub accepted: Mutex<BTreeSet<String>>,
    /// Messages whose completion was answered, with the fence it was answered to.
    pub completed: Mutex<BTreeMap<String, u64>>,
    /// Leases whose heartbeat was answered held: conversation, fence, and when it was sent.
    pub extended: Mutex<Vec<(String, u64, u64)>>,
    /// What actors saw that must not be.
    pub complaints: Mutex<Vec<String>>,
    trace: bool,
}

impl World {
    /// A function instance of its own: its network, its randomness, its clock.
    pub fn app(&self, actor: u64) -> App {
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(actor);
        let troubles = Troubles::new(seed, self.shared.clone());
        let ahead = StdRng::seed_from_u64(seed).random_range(0..SKEW_MS_MAX);
        let mut environment = BTreeMap::new();
        for function in &self.template.functions {
            environment.extend(function.environment.clone());
        }
        environment.insert("PUBLIC_URL".to_owned(), "http://127.0.0.1:9".to_owned());
        environment.remove("TELEGRAM_API_URL");
        let boot = Boot {
            env: Env::from(environment),
            sdk: self.aws.clone().with_faults(troubles).sdk_config(RetryConfig::disabled()),
            clock: Arc::new(self.clock.ahead_by(Millis::new(ahead))),
            entropy: Arc::new(Entropy::seeded(seed)),
            providers: Providers::none().with(self.provider.clone()),
        };
        App::from_boot(&boot).unwrap()
    }

    pub fn calm(&self) -> bool {
        !self.shared.on.load(Ordering::Relaxed)
    }

    pub fn table(&self) -> String {
        self.template.tables[0].name.clone()
    }

    /// Whether this world's retries hold back their conversations.
    pub fn retries_block(&self) -> bool {
        StdRng::seed_from_u64(self.seed ^ 0xb10c).random_bool(0.75)
    }

    /// An actor's own randomness.
    pub fn rng(&self, actor: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(7_919).wrapping_add(actor))
    }

    #[allow(clippy::print_stderr, reason = "the trace of a replayed seed")]
    pub fn note(&self, line: impl FnOnce() -> String) {
        if self.trace {
            use af_app::clock::Clock;
            eprintln!("{} {}", self.clock.now().as_millis() % 10_000_000, line());
        }
    }

    pub fn complain(&self, complaint: String) {
        self.complaints.lock().unwrap().push(complaint);
    }
}

/// Runs the world of `seed` on this thread.
pub fn run(seed: u64, mutation: Mutation, trace: bool) -> Verdict {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(live(seed, mutation, trace))
}

async fn live(seed: u64, mutation: Mutation, trace: bool) -> Verdict {
    let (started, mut new_machines) = mpsc::unbounded_channel();
    let world = Arc::new(begin(seed, mutation, trace, SimProvider::new(started)).await);
    prepare(&world).await;
    let mut checker = Checker::new(&world, world.aws.engine().clone());
    let mut actors = tokio::task::JoinSet::new();
    for user in 0..USERS {
        actors.spawn(users::user(world.clone(), user));
    }
    actors.spawn(reconciler::reconciler(world.clone(), 100));
    actors.spawn(reconciler::reconciler(world.clone(), 101));
    let mut machines = 1_000;
    let (mut lived, mut broken) = (Duration::ZERO, None);
    while broken.is_none() {
        while let Ok(worker) = new_machines.try_recv() {
            machines += 1;
            actors.spawn(workers::worker(world.clone(), worker, machines));
        }
        tokio::time::sleep(LOOK_EVERY).await;
        lived += LOOK_EVERY;
        if lived == TROUBLED {
            world.shared.on.store(false, Ordering::Relaxed);
            world.note(|| "no more faults".to_owned());
        }
        broken = checker.look(&world).err();
        if lived > TROUBLED && checker.is_at_rest(&world) {
            break;
        }
        if lived > TROUBLED + REST_MAX && broken.is_none() {
            broken = Some(checker.unfinished(&world));
        }
    }
    let broken = broken.or_else(|| checker.judge_the_end(&world).err());
    actors.abort_all();
    Verdict {
        seed,
        broken,
        requests: world.shared.requests.load(Ordering::Relaxed),
        claims: checker.claims,
        faults: world.shared.faults.load(Ordering::Relaxed),
    }
}

async fn begin(seed: u64, mutation: Mutation, trace: bool, provider: Arc<SimProvider>) -> World {
    let yaml = fs::read_to_string(af_tests::workspace::root().join("infra/template.yaml")).unwrap();
    let template = Template::parse(&yaml, &BTreeMap::new()).unwrap();
    let clock = SimClock::begin();
    let engine = Engine::memory(Arc::new(clock.clone())).unwrap();
    let definition = |t: &af_local::template::TableDef| TableDefinition {
        create: t.create_table.clone(),
        ttl_attribute: t.ttl_attribute.clone(),
    };
    engine.create_tables(&template.tables.iter().map(definition).collect::<Vec<_>>()).await.unwrap();
    World {
        seed,
        clock,
        shared: Shared::new(seed, mutation),
        provider,
        aws: LocalAws::new(engine, Secrets::memory()),
        template,
        accepted: Mutex::default(),
        completed: Mutex::default(),
        extended: Mutex::default(),
        complaints: Mutex::default(),
        trace,
    }
}

/// An agent, a provider, and the policies of this world, while nothing goes wrong yet.
async fn prepare(world: &World) {
    world.shared.on.store(false, Ordering::Relaxed);
    let app = world.app(0);
    let settings = af_app::agents::AgentSettings {
        display_name: None,
        version: "1".to_owned(),
        enabled: true,
        secrets_ref: Vec::new(),
    };
    af_app::agents::configure(&app, &AgentKey::parse(AGENT).unwrap(), settings).await.unwrap();
    let key = af_domain::ids::SecretRef::parse(af_app::worker_token::SIGNING_KEY_REF).unwrap();
    app.secrets.put(&key, secrecy::SecretString::from("a signing key"), app.now()).await.unwrap();
    let config = af_app::provider::ProviderConfig { kind: "local".to_owned(), ..Default::default() };
    af_app::provider::configure(&app, &config).await.unwrap();
    let mut rng = world.rng(1);
    let switch_after = [0, 5_000, 60_000][rng.random_range(0..3)];
    let overrides = serde_json::json!({
        "scaling": {
            "maxWorkers": rng.random_range(1..=4), "spawnStep": rng.random_range(1..=3),
            "switchAfterQuietMs": switch_after,
            "idleTimeoutMs": 60_000,
        },
        "retry": {"maxAttempts": rng.random_range(2..=5), "maxDelayMs": 20_000},
        "queue": {"onRetry": if world.retries_block() { "block" } else { "overtake" }},
    });
    let overrides = serde_json::from_value(overrides).unwrap();
    af_app::policies::set(&app, overrides).await.unwrap();
    // Until every replica has it.
    tokio::time::sleep(crate::faults::BEHIND_MAX).await;
    world.shared.on.store(true, Ordering::Relaxed);
}
