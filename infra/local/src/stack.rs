//! The stack: all resources of the template, running in one process.
//!
//! It starts in an order in which each part finds the parts that it needs: folder and clock, tables and secrets,
//! functions, the listener, and finally the sources of events (streams, schedules, Telegram).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use af_app::App;
use af_app::telegram::bots::OwnWebhook;
use af_console::DevTools;
use af_domain::time::{Millis, Timestamp};
use af_emulator_aws::{Credentials, Engine, LocalAws, Objects, Permissions, Secrets, TableDefinition};
use af_emulator_fly::{FlyEmulator, MAX_PAGE_LEN, Options as FlyOptions};
use af_emulator_telegram::{Options as TelegramOptions, TelegramEmulator};
use af_runtime::clock::SharedClock;
use af_runtime::entropy::Entropy;
use af_runtime::time::{ClockTime, Signals, Waits};
use af_runtime::virtual_clock::VirtualClock;
use af_sam::schedule::ScheduleRunner;
use af_sam::stream::checkpoint::CheckpointDir;
use af_sam::stream::pump::Pump;
use af_sam::template::Template;
use af_telegram::TokioPause;
use anyhow::{Context, ensure};
use axum::Router;
use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::background::Background;
use crate::cargo_lambda::CargoLambda;
use crate::console_tools::{ConsoleTools, Link};
use crate::control::ClockControl;
use crate::functions::{Builder, Functions};
use crate::lambda::Launcher;
use crate::options::{FunctionsIn, StackOptions, WorkersOn};
use crate::polling::UpdatePoller;
use crate::seed::Demo;
use crate::server::serve;
use crate::table_streams::TableStreams;
use crate::{cargo_lambda, control, functions, guard, seed};

/// The path of the emulator's Machines API.
const FLY_API_PATH: &str = "/_local/fly/v1";
/// The name of the local deployment.
const DEPLOYMENT_ID: &str = "dev";

/// A running stack. Dropping it stops its parts without waiting.
pub struct Stack {
    /// The public URL.
    pub url: String,
    /// The AWS endpoint, for functions that run in their own process.
    pub aws_url: String,
    /// The only credentials that the AWS endpoint accepts. Each start has its own.
    pub aws_credentials: Credentials,
    /// An admin key.
    pub admin_key: String,
    /// The link that opens the console once, if the functions run.
    pub console_link: Option<String>,
    /// The demo agent, its bot and its user, if the options ask for them.
    pub demo: Option<Demo>,
    /// The embedded AWS services.
    pub aws: LocalAws,
    /// The permissions of each function in this process, by its binary.
    pub permissions: BTreeMap<String, Permissions>,
    /// The files for functions that run alone, if the functions do not run in the stack.
    pub(crate) cargo_lambda: Option<CargoLambda>,
    clock: VirtualClock,
    background: Background,
    /// Fetches the updates of a real bot.
    polling: Option<JoinHandle<()>>,
    servers: Vec<JoinHandle<()>>,
    closing: watch::Sender<bool>,
    stop: watch::Sender<bool>,
}

impl Stack {
    /// Starts the stack. When this returns, the stack answers requests.
    ///
    /// # Errors
    /// Returns an error if the template, the folder or the port cannot be used.
    pub async fn start(options: StackOptions) -> anyhow::Result<Self> {
        check_clock(&options)?;
        let (listener, url) = bind(options.port).await?;
        let template = template(&options, &url)?;
        let entropy = Arc::new(Entropy::from_os());
        let clock: SharedClock = Arc::new(options.clock.clone());
        let (aws_listener, aws_url) = bind(0).await?;
        let aws_credentials = aws_credentials(&entropy);
        let aws = aws(&options, &template, clock.clone()).await?.with_endpoint_url(&aws_url);
        let aws = aws.with_credentials(aws_credentials.clone());
        let telegram = telegram(&options, clock.clone(), entropy.clone())?;
        let (closing, stop) = (watch::Sender::new(false), watch::Sender::new(false));
        let (providers, waits) = (options.providers.clone(), waits(&options, &aws, &closing));
        let access = functions::Access::of(&aws, &template);
        let boot = functions::Boots { access, clock, entropy, providers, waits, url: url.clone() };
        let operator = App::from_boot(&boot.operator(&template))?;
        let admin_key = seed::secrets(&operator).await?;
        let fly = fly(&options, &operator).await?;
        seed::provider(&operator, &options).await?;

        let background = Background::default();
        let clock = clock_control(&options, &background);
        let tools = console_tools(clock.clone(), &telegram, &admin_key, &boot.entropy);
        let cargo_lambda = (options.functions == FunctionsIn::CargoLambda)
            .then(|| CargoLambda::of(&template, &aws_url, &aws_credentials));
        let launcher = launcher(&options, &boot, &aws_url, &aws_credentials);
        let (functions, console) = built(&options, &template, &boot, tools.clone(), launcher).await?;
        let control = control::router(clock);
        let control = control.merge(telegram.control()).merge(fly.control()).nest("/fly", fly.api());
        let router = front(functions.gateway, telegram.api(), console).nest("/_local", control);
        let router = guard::until_closing(router, closing.subscribe());
        let functions_router = router.clone();
        let served = [(listener, router), (aws_listener, aws.endpoint_router())].map(|(listener, router)| {
            tokio::spawn(serve(listener, guard::loopback_only(router), stop.subscribe()))
        });
        let servers = Vec::from(served);

        let demo = demo(&options, &operator, &url, &telegram).await?;
        let (demo, webhook) = demo.map_or((None, None), |(demo, webhook)| (Some(demo), webhook));
        demo.iter().for_each(|demo| tools.demo.set(demo.clone()).expect("the demo is created once"));
        let console_link = tools.link_from(&url).filter(|_| options.functions != FunctionsIn::CargoLambda);
        let streams = Arc::new(TableStreams(aws.engine().clone()));
        let checkpoints = options.data_dir.as_ref().map(|dir| CheckpointDir::open(dir.join("streams")));
        let pump = Pump::start(streams, checkpoints.transpose()?, functions.mappings)?;
        // The schedules start as overdue, so that they handle the state of an earlier process at once.
        let start = Timestamp::default();
        let schedules = ScheduleRunner::start(functions.schedules, start, options.clock.clone());
        background.start(pump, schedules).await;
        telegram.resume();
        let polling = webhook.map(|webhook| fetch_updates(webhook, functions_router));
        let clock = options.clock;
        Ok(Self {
            url,
            aws_url,
            aws_credentials,
            admin_key,
            permissions: boot.access.permissions,
            console_link,
            demo,
            aws,
            cargo_lambda,
            clock,
            background,
            polling,
            servers,
            closing,
            stop,
        })
    }

    /// Moves the clock and waits until all records and schedules that are due have been delivered to their functions.
    pub async fn advance(&self, by: Millis) -> Timestamp {
        let now = self.clock.advance(by);
        self.background.settled().await;
        now
    }

    /// Resolves when all records and schedules up to now have been delivered to their functions.
    pub async fn settled(&self) {
        self.background.settled().await;
    }

    /// Refuses all requests except those of workers, and stops the sources of events: no new work is accepted, and
    /// none is started. Running messages can end.
    pub async fn close(&self) {
        if let Some(polling) = &self.polling {
            polling.abort();
        }
        self.closing.send_replace(true);
        self.background.stop().await;
    }

    /// Closes the stack, then stops the servers.
    pub async fn stop(self) {
        self.close().await;
        self.stop.send_replace(true);
        for server in self.servers {
            let _ = server.await;
        }
    }
}

/// The template with the parameters of a stack at `url`.
fn template(options: &StackOptions, url: &str) -> anyhow::Result<Template> {
    let telegram = options.real_bot.as_ref().map_or(url, |bot| bot.api_url.as_str());
    let parameters = BTreeMap::from([
        ("DeploymentId".to_owned(), DEPLOYMENT_ID.to_owned()),
        ("TelegramApiUrl".to_owned(), telegram.to_owned()),
        ("FlyApiUrl".to_owned(), format!("{url}{FLY_API_PATH}")),
        ("AllowedOrigins".to_owned(), options.allowed_origins.join(",")),
    ]);
    Template::parse(&options.template, &parameters).context("the template cannot be used")
}

/// The starter of processes, if the functions run in processes of their own.
fn launcher(
    options: &StackOptions,
    boots: &functions::Boots,
    aws_url: &str,
    aws_credentials: &Credentials,
) -> Option<Launcher> {
    let FunctionsIn::Processes(dir) = &options.functions else { return None };
    Some(Launcher {
        dir: dir.clone(),
        url: boots.url.clone(),
        aws_url: aws_url.to_owned(),
        aws_credentials: aws_credentials.clone(),
        entropy: boots.entropy.clone(),
    })
}

/// The functions, if the options ask for them, and the pages of the console that only `dev` has.
async fn built(
    options: &StackOptions,
    template: &Template,
    boots: &functions::Boots,
    tools: Arc<dyn DevTools>,
    launcher: Option<Launcher>,
) -> anyhow::Result<(Functions, Router)> {
    if options.functions == FunctionsIn::CargoLambda {
        return Ok((functions::without_requests(template, cargo_lambda::event_function), Router::new()));
    }
    let builder = match launcher {
        Some(launcher) => Builder::Processes(launcher),
        None => Builder::InProcess { boots, tools: &tools },
    };
    let functions = functions::build(template, &builder).await?;
    Ok((functions, af_console::dev_pages(&boots.operator(template), tools)?))
}

/// Creates the demo that the options ask for. That of a real bot has a webhook whose updates are to be fetched.
async fn demo(
    options: &StackOptions,
    operator: &App,
    url: &str,
    telegram: &TelegramEmulator,
) -> anyhow::Result<Option<(Demo, Option<OwnWebhook>)>> {
    if !options.demo {
        return Ok(None);
    }
    let url = match options.functions {
        FunctionsIn::CargoLambda => cargo_lambda::public_url(),
        FunctionsIn::Stack | FunctionsIn::Processes(_) => url.to_owned(),
    };
    Ok(Some(match &options.real_bot {
        Some(bot) => {
            let (demo, webhook) = seed::real_demo(operator, &bot.token).await?;
            (demo, Some(webhook))
        }
        None => (seed::demo(operator, &url, telegram).await?, None),
    }))
}

/// Starts to fetch the updates of a real bot.
fn fetch_updates(webhook: OwnWebhook, functions: Router) -> JoinHandle<()> {
    let OwnWebhook { path, secret, api: bot } = webhook;
    tokio::spawn(UpdatePoller { bot, functions, path, secret, pause: Arc::new(TokioPause) }.run())
}

/// The Telegram emulator. It stores its state in the data folder, if there is one.
fn telegram(
    options: &StackOptions,
    clock: SharedClock,
    entropy: Arc<Entropy>,
) -> anyhow::Result<TelegramEmulator> {
    let telegram_options = TelegramOptions::default();
    TelegramEmulator::open(options.data_dir.as_deref(), clock, entropy, telegram_options)
}

/// A listener on loopback, and its URL.
async fn bind(port: u16) -> anyhow::Result<(TcpListener, String)> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.with_context(|| format!("port {port} cannot be used"))?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

/// Random credentials for the AWS endpoint.
fn aws_credentials(entropy: &Entropy) -> Credentials {
    let random = || URL_SAFE_NO_PAD.encode(entropy.bytes::<24>());
    Credentials::new(format!("dev{}", random().replace(['-', '_'], "0")), random(), None, None, "dev")
}

/// The waits of calls, which end early when the table changes or the stack stops.
fn waits(options: &StackOptions, aws: &LocalAws, closing: &watch::Sender<bool>) -> Waits {
    let signals = Signals { writes: aws.engine().writes(), stopping: closing.subscribe() };
    Waits::by(options.clock.clone()).with_signals(signals)
}

async fn aws(options: &StackOptions, template: &Template, clock: SharedClock) -> anyhow::Result<LocalAws> {
    let buckets: Vec<&str> = template.buckets.iter().map(String::as_str).collect();
    let (engine, secrets, objects) = match &options.data_dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)?;
            let engine = Engine::open(&dir.join("table.sqlite"), clock)?;
            let secrets = Secrets::open(&dir.join("secrets.json"))?;
            (engine, secrets, Objects::open(&dir.join("objects"), &buckets)?)
        }
        None => (Engine::memory(clock)?, Secrets::memory(), Objects::temporary(&buckets)?),
    };
    let tables = template
        .tables
        .iter()
        .map(|t| TableDefinition { create: t.create_table.clone(), ttl_attribute: t.ttl_attribute.clone() });
    for change in engine.create_tables(&tables.collect::<Vec<_>>()).await? {
        tracing::debug!(table = change.table, steps = ?change.steps, "table changed to its definition");
    }
    Ok(LocalAws::new(engine, secrets.with_clock(Arc::new(options.clock.clone()))).with_objects(objects))
}

/// The Fly emulator. It runs with every provider, so that the local stack never calls the real Fly.
async fn fly(options: &StackOptions, operator: &App) -> anyhow::Result<FlyEmulator> {
    let (runner, token) = match &options.workers_on {
        WorkersOn::Local => (None, None),
        WorkersOn::Fly { runner } => (runner.clone(), Some(seed::fly_token(operator).await?)),
    };
    let fly = FlyEmulator::open(FlyOptions {
        data_dir: options.data_dir.clone(),
        time: Arc::new(ClockTime(options.clock.clone())),
        entropy: operator.entropy.clone(),
        token,
        runner,
        max_page_len: MAX_PAGE_LEN,
    })?;
    fly.add_app(seed::FLY_APP, seed::FLY_ORGANIZATION);
    Ok(fly)
}

/// Functions in processes of their own go by the clock of the machine, so the virtual clock must not be ahead of it.
fn check_clock(options: &StackOptions) -> anyhow::Result<()> {
    let is_moved = options.clock.offset() > Millis::default();
    ensure!(
        !is_moved || options.functions == FunctionsIn::Stack,
        "the clock of this data folder has been moved, but functions in processes of their own go by the clock of this \
         machine; add --reset, or choose another --data-dir"
    );
    Ok(())
}

/// The control of the clock. Processes go by the clock of the machine.
fn clock_control(options: &StackOptions, background: &Background) -> ClockControl {
    let is_movable = options.functions == FunctionsIn::Stack;
    ClockControl { clock: options.clock.clone(), background: background.clone(), is_movable }
}

/// The tools of the console, with a new link.
fn console_tools(
    clock: ClockControl,
    telegram: &TelegramEmulator,
    admin_key: &str,
    entropy: &Entropy,
) -> Arc<ConsoleTools> {
    let token = URL_SAFE_NO_PAD.encode(entropy.bytes::<24>());
    Arc::new(ConsoleTools {
        telegram: telegram.clone(),
        clock,
        demo: OnceLock::new(),
        link: Mutex::new(Some(Link { token, key: admin_key.to_owned().into() })),
    })
}

/// All share one port. The paths of the Bot API, `/bot<token>/…` and `/file/bot<token>/…`, do not overlap with
/// others. So workers that survive a crash find the Bot API at the URL of the deployment. The pages of the console that only
/// `dev` has are no routes of the template.
fn front(gateway: Router, bot_api: Router, console: Router) -> Router {
    Router::new().fallback(move |request: Request| {
        let path = request.uri().path();
        let is_bot_api = path.starts_with("/bot") || path.starts_with("/file/bot");
        let is_of_dev = matches!(path, "/" | "/console/enter") || path.starts_with("/console/phone");
        let called = if is_bot_api {
            bot_api.clone()
        } else if is_of_dev {
            console.clone()
        } else {
            gateway.clone()
        };
        called.oneshot(request)
    })
}
