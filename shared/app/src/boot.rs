//! How a function starts: from its environment, an SDK configuration, a clock and a source of randomness.
//! Lambda passes the real ones; `agent-factory dev` and the tests pass their own.

use std::sync::Arc;

use af_aws::objects::Objects;
use af_aws::secrets::Secrets;
use af_domain::agent::{AgentProfile, Bot};
use af_domain::ids::{AgentKey, BotIdentity, ConversationId, MessageId, WorkerId};
use af_domain::ingress::LimitedSender;
use af_domain::outbox::Chat;
use af_domain::policy::SIGN_OF_LIFE_INTERVAL;
use af_domain::time::{Millis, Timestamp};
use af_providers::{Ports, Providers, WiringError};
use af_store::api_key::ApiKey;
use af_store::{Jitter, Store};
use af_telegram::{BotApi, TelegramError, http_client};

use crate::access::opening_secret_cache::{self, OpeningSecret};
use crate::outbox::{BotMessenger, Messenger};
use crate::pool::provider::token_source::SecretTokens;
use crate::settings::message_settings::Settings;
use af_runtime::cache::Cache;
use af_runtime::clock::{SharedClock, SystemClock};
use af_runtime::entropy::Entropy;
use af_runtime::env::{Env, MissingVariable};
use af_runtime::time::{TokioTime, Waits};

/// How long a function caches policies and agent profiles.
const CONFIG_GOOD_FOR: Millis = Millis::from_secs(10);
/// How long a function caches an API key. A revoked key may be accepted for this long.
const API_KEY_GOOD_FOR: Millis = Millis::from_secs(60);
/// The shortest time between two drafts of a message.
const DRAFT_INTERVAL: Millis = Millis::from_secs(1);
/// How long a function keeps in memory that it has rejected the messages of a chat.
const REJECTION_GOOD_FOR: Millis = Millis::from_secs(60);
/// The default first segment of the Telegram webhook's path.
const WEBHOOK_PATH_PREFIX: &str = "/agent-factory";

/// Everything that a function needs to start.
#[derive(Clone)]
pub struct Boot {
    /// The environment variables.
    pub env: Env,
    /// The configuration of the AWS SDK.
    pub sdk: aws_types::SdkConfig,
    /// The clock.
    pub clock: SharedClock,
    /// The source of randomness.
    pub entropy: Arc<Entropy>,
    /// Providers that the function gets besides those of its environment. A provider here replaces one of the same kind.
    pub providers: Providers,
    /// How the function waits for a change of the table.
    pub waits: Waits,
}

impl Boot {
    /// Returns the inputs of a deployed function: the process environment, the real clock and randomness, and
    /// AWS as configured by the environment.
    pub async fn on_lambda() -> Self {
        Self {
            env: Env::of_process(),
            sdk: af_aws::sdk_config().await,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(Entropy::from_os()),
            providers: Providers::none(),
            waits: Waits::default(),
        }
    }

    /// Returns the bucket. Only functions that handle files call this, so that no other function links S3. Returns
    /// an error if the environment does not name the bucket.
    pub fn objects(&self) -> Result<Objects, BootError> {
        Ok(Objects::new(&self.sdk, self.env.require("BUCKET_NAME")?))
    }
}

/// The reason why a function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// An environment variable is missing.
    #[error(transparent)]
    MissingVariable(#[from] MissingVariable),
    /// A provider could not be created.
    #[error(transparent)]
    Provider(#[from] WiringError),
    /// The Telegram client could not be created.
    #[error("TELEGRAM_API_URL is not usable")]
    Telegram(#[from] TelegramError),
}

/// The state that the use cases of one function share.
pub struct App {
    /// The table.
    pub store: Store,
    /// Secrets.
    pub secrets: Secrets,
    /// The clock.
    pub clock: SharedClock,
    /// The source of randomness.
    pub entropy: Arc<Entropy>,
    /// The providers that can run workers.
    pub providers: Providers,
    /// How a call waits for a change of the table.
    pub waits: Waits,
    /// The id of this deployment.
    pub deployment_id: String,
    /// The public URL, if the function is configured with it.
    pub public_url: Option<String>,
    /// The URL of the Bot API for workers.
    pub telegram_url: Option<String>,
    /// The first segment of the Telegram webhook's path, with its slash.
    pub webhook_path_prefix: String,
    pub(crate) telegram: Option<BotApi>,
    /// The sender of messages to Telegram; `None` in a function that sends none.
    pub messenger: Option<Arc<dyn Messenger>>,
    pub(crate) settings: Cache<(), Settings>,
    pub(crate) agents: Cache<AgentKey, Option<AgentProfile>>,
    pub(crate) bots: Cache<BotIdentity, Bot>,
    pub(crate) api_keys: Cache<String, ApiKey>,
    pub(crate) opening_secrets: Cache<&'static str, OpeningSecret>,
    pub(crate) signs_of_life: Cache<WorkerId, ()>,
    /// The messages whose progress was shown lately.
    pub(crate) drafts: Cache<MessageId, ()>,
    /// The chats that lately got a notice why a message was rejected.
    pub(crate) notices: Cache<(Chat, &'static str), ()>,
    /// The conversations whose sender has used its allowance.
    pub(crate) limited: Cache<ConversationId, LimitedSender>,
}

impl App {
    /// Creates the state of the use cases, or returns `BootError` with the missing configuration.
    pub fn from_boot(boot: &Boot) -> Result<Self, BootError> {
        let table = boot.env.require("TABLE_NAME")?;
        let prefix = boot.env.require("SECRETS_PREFIX")?;
        let telegram_url = boot.env.get("TELEGRAM_API_URL");
        let telegram = match telegram_url {
            Some(url) => Some(BotApi::new(http_client(url)?, url)),
            None => None,
        };
        let secrets = Secrets::new(aws_sdk_secretsmanager::Client::new(&boot.sdk), prefix);
        let deployment_id = boot.env.require("DEPLOYMENT_ID")?;
        let ports = Ports {
            tokens: Arc::new(SecretTokens { secrets: secrets.clone(), clock: boot.clock.clone() }),
            time: Arc::new(TokioTime::default()),
        };
        let providers = Providers::from_env(&boot.env, &ports, boot.providers.clone())?;
        let entropy = boot.entropy.clone();
        let jitter: Jitter = Arc::new(move || entropy.unit());
        Ok(Self {
            store: Store::new(aws_sdk_dynamodb::Client::new(&boot.sdk), table, jitter),
            secrets,
            clock: boot.clock.clone(),
            entropy: boot.entropy.clone(),
            providers,
            waits: boot.waits.clone(),
            deployment_id: deployment_id.to_owned(),
            public_url: boot.env.get("PUBLIC_URL").map(str::to_owned),
            telegram_url: telegram_url.map(str::to_owned),
            webhook_path_prefix: boot
                .env
                .get("WEBHOOK_PATH_PREFIX")
                .unwrap_or(WEBHOOK_PATH_PREFIX)
                .to_owned(),
            messenger: telegram.clone().map(|api| Arc::new(BotMessenger(api)) as Arc<dyn Messenger>),
            telegram,
            settings: Cache::new(CONFIG_GOOD_FOR),
            agents: Cache::new(CONFIG_GOOD_FOR),
            bots: Cache::new(CONFIG_GOOD_FOR),
            api_keys: Cache::new(API_KEY_GOOD_FOR),
            opening_secrets: Cache::new(opening_secret_cache::GOOD_FOR),
            signs_of_life: Cache::new(SIGN_OF_LIFE_INTERVAL),
            drafts: Cache::new(DRAFT_INTERVAL),
            notices: Cache::new(REJECTION_GOOD_FOR),
            limited: Cache::new(REJECTION_GOOD_FOR),
        })
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
