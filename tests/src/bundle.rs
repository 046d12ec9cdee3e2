//! A fresh deployment in memory: the tables of the real template, secrets, a clock that only the test moves, and
//! randomness from a seed.
//!
//! Each actor of a test (a function, or a worker's side of it) starts from its own [`Boot`], as on Lambda. A test can
//! count the requests of each actor separately.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use af_app::access::auth::{BOOTSTRAP_KEY_ID, BOOTSTRAP_KEY_REF};
use af_app::access::worker_token::SIGNING_KEY_REF;
use af_app::{App, Boot};
use af_domain::ids::SecretRef;
use af_domain::time::Timestamp;
use af_emulator_aws::{Engine, LocalAws, Meter, Objects, Permissions, Secrets, TableDefinition};
use af_local::permissions_of;
use af_providers::Providers;
use af_runtime::entropy::Entropy;
use af_runtime::env::Env;
use af_runtime::time::Waits;
use af_runtime::virtual_clock::VirtualClock;
use af_sam::template::Template;
use aws_smithy_types::retry::RetryConfig;
use secrecy::SecretString;

use crate::secret_scan::SecretScan;
use crate::workspace::root;

/// The start time of every bundle: 2026-01-01, midnight UTC.
pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// An address without a Bot API and without Fly: the discard port, on which nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";
/// The secret part of the first admin key.
const ADMIN_SECRET: &str = "the-admin-key-of-a-test-with-32-characters";
/// The key that signs worker tokens.
const SIGNING_KEY: &str = "the-signing-key-of-a-test-with-32-characters";

/// A deployment.
pub struct Bundle {
    /// DynamoDB and Secrets Manager.
    pub aws: LocalAws,
    /// The clock.
    pub clock: VirtualClock,
    /// The randomness.
    pub entropy: Arc<Entropy>,
    /// The parsed template.
    pub template: Template,
    /// The providers for workers: none, unless a test sets some before it starts an actor.
    pub providers: Providers,
    /// The permissions of each function, by its binary. Their record is that of the
    /// process.
    pub permissions: BTreeMap<String, Permissions>,
    /// The search for secrets at the end of the test.
    _scan: SecretScan,
}

impl Bundle {
    /// An unused deployment.
    ///
    /// # Panics
    /// When the template or the engine cannot be used, because then no test can run.
    pub async fn fresh() -> Self {
        Self::with_telegram_at(NOWHERE).await
    }

    /// The same, with the Bot API at `telegram_url`.
    ///
    /// # Panics
    /// As `fresh`.
    pub async fn with_telegram_at(telegram_url: &str) -> Self {
        let parameters = BTreeMap::from([("TelegramApiUrl", telegram_url), ("FlyApiUrl", NOWHERE)]);
        Self::deploy(VirtualClock::frozen_at(START), parameters, 1).await
    }

    /// Another unused deployment with this id and the same clock.
    ///
    /// # Panics
    /// As `fresh`.
    pub async fn beside(&self, deployment: &str) -> Self {
        let parameters = BTreeMap::from([
            ("TelegramApiUrl", NOWHERE),
            ("FlyApiUrl", NOWHERE),
            ("DeploymentId", deployment),
        ]);
        // Its randomness differs, too, so that workers of two deployments never have the same id.
        let seed = deployment.bytes().map(u64::from).sum();
        Self::deploy(self.clock.clone(), parameters, seed).await
    }

    async fn deploy(clock: VirtualClock, parameters: BTreeMap<&str, &str>, seed: u64) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let template = parsed(parameters.into_iter().map(owned).collect());
        let engine = Engine::memory(Arc::new(clock.clone())).expect("SQLite opens in memory");
        let tables: Vec<_> = template
            .tables
            .iter()
            .map(|t| TableDefinition {
                create: t.create_table.clone(),
                ttl_attribute: t.ttl_attribute.clone(),
            })
            .collect();
        engine.create_tables(&tables).await.expect("the tables can be made");
        let buckets: Vec<_> = template.buckets.iter().map(String::as_str).collect();
        let objects = Objects::temporary(&buckets).expect("there is room for temporary files");
        let secrets = Secrets::memory().with_clock(Arc::new(clock.clone()));
        let aws = LocalAws::new(engine, secrets).with_objects(objects);
        let permissions = permissions_of(&template);
        let bundle = Self {
            permissions,
            _scan: SecretScan(aws.clone()),
            aws,
            clock,
            entropy: Arc::new(Entropy::seeded(seed)),
            template,
            providers: Providers::none(),
        };
        bundle.import_secrets().await;
        bundle
    }

    /// The boot of the function with this `binary`, with the environment that the template declares.
    ///
    /// # Panics
    /// When the template has no such function.
    #[must_use]
    pub fn boot(&self, binary: &str) -> Boot {
        self.boot_over(&self.aws, binary)
    }

    /// The same, with only the permissions that the template declares for the function.
    ///
    /// # Panics
    /// When the template has no such function.
    #[must_use]
    pub fn restricted_boot(&self, binary: &str) -> Boot {
        let permissions = self.permissions.get(binary);
        let permissions = permissions.unwrap_or_else(|| panic!("the template has no function {binary}"));
        self.boot_over(&self.aws.clone().with_permissions(permissions.clone()), binary)
    }

    /// The same, with a meter for its requests to DynamoDB.
    ///
    /// # Panics
    /// When the template has no such function.
    #[must_use]
    pub fn metered_boot(&self, binary: &str) -> (Boot, Meter) {
        let meter = Meter::default();
        (self.boot_over(&self.aws.clone().with_meter(meter.clone()), binary), meter)
    }

    fn boot_over(&self, aws: &LocalAws, binary: &str) -> Boot {
        let function = self.template.functions.iter().find(|f| f.binary == binary);
        let function = function.unwrap_or_else(|| panic!("the template has no function {binary}"));
        Boot {
            env: Env::from(function.environment.clone()),
            sdk: aws.sdk_config(RetryConfig::disabled()),
            clock: Arc::new(self.clock.clone()),
            entropy: self.entropy.clone(),
            providers: self.providers.clone(),
            waits: Waits::by(self.clock.clone()),
        }
    }

    /// The use cases of the function with this `binary`.
    ///
    /// # Panics
    /// When the template lacks a variable that the use cases need.
    #[must_use]
    pub fn app(&self, binary: &str) -> App {
        App::from_boot(&self.boot(binary)).expect("the template declares every variable")
    }

    /// The same, with only the permissions that the template declares for the function.
    ///
    /// # Panics
    /// As `app`.
    #[must_use]
    pub fn restricted_app(&self, binary: &str) -> App {
        App::from_boot(&self.restricted_boot(binary)).expect("the template declares every variable")
    }

    /// The first admin key, which has every scope.
    #[must_use]
    pub fn admin_key(&self) -> String {
        format!("afk_{BOOTSTRAP_KEY_ID}_{ADMIN_SECRET}")
    }

    /// Stores the secrets that CloudFormation generates on AWS.
    async fn import_secrets(&self) {
        let app = self.app("admin-api");
        for (name, value) in [(BOOTSTRAP_KEY_REF, ADMIN_SECRET), (SIGNING_KEY_REF, SIGNING_KEY)] {
            let name = SecretRef::parse(name).expect("the name is valid");
            let stored = app.secrets.put(&name, SecretString::from(value), app.now()).await;
            stored.expect("Secrets Manager is in memory");
        }
    }
}

/// The template with these parameters, which is parsed once per process.
fn parsed(parameters: BTreeMap<String, String>) -> Template {
    static PARSED: Mutex<BTreeMap<BTreeMap<String, String>, Template>> = Mutex::new(BTreeMap::new());
    let mut templates = PARSED.lock().expect("parsing panics only when no test can run");
    let parse = |parameters: &BTreeMap<String, String>| {
        let yaml = fs::read_to_string(root().join("infra/template.yaml")).expect("the template is there");
        Template::parse(&yaml, parameters).expect("the template can be used")
    };
    templates.entry(parameters).or_insert_with_key(parse).clone()
}
