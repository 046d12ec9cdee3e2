//! `dev`: the whole bundle on one machine.

mod clock;
mod real_bot;
mod worker_env;
mod workers;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use af_local::{DevFile, FunctionsIn, Home, MachineProcesses, Stack, StackOptions, WorkersOn, is_origin};
use af_providers::{LocalOptions, LocalProvider, ProviderKind, Providers};
use af_runtime::virtual_clock::VirtualClock;
use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::output;
use crate::target::{DATA_DIR, Target};
use workers::Workers;

/// The template as it was when this program was built, for a machine that has only the program.
const TEMPLATE: &str = include_str!("../../../template.yaml");
/// Where the template lies in a checkout; it is preferred, so that a change of it needs no build.
const TEMPLATE_FILE: &str = "infra/template.yaml";
/// From SIGTERM to SIGKILL of a worker process.
const WORKER_STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// What an operator reads when a message needs a worker.
const NO_WORKERS: &str =
    "`dev` runs with --no-workers and starts no worker. Start your own with `workers register`.";

/// Run the whole bundle on this machine.
#[derive(Debug, Args)]
pub struct Dev {
    #[command(subcommand)]
    command: Option<DevCommand>,
    /// Port of the public URL on loopback; 0 takes a free one
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// Keep no data; --data-dir, if given, gets only dev.json
    #[arg(long)]
    ephemeral: bool,
    /// Begin with an empty data folder
    #[arg(long)]
    reset: bool,
    /// No demo agent, bot and user
    #[arg(long)]
    no_demo: bool,
    /// Where workers run: as processes of this machine (`local`, the default), or as machines of the Fly emulator, which run
    /// the same
    #[arg(long, value_enum)]
    provider: Option<ProviderOption>,
    /// Start no worker processes; start your own with `workers register`
    #[arg(long)]
    no_workers: bool,
    /// No functions here: they run in `cargo lambda watch`, which the streams and schedules of this process call
    #[arg(long, conflicts_with = "functions")]
    no_functions: bool,
    /// How the functions run: in this process, or as on Lambda, each in processes of its own with a Runtime API. Workers then
    /// are machines of the Fly emulator
    #[arg(long, value_enum, default_value_t)]
    functions: FunctionsOption,
    /// An origin of a web app whose pages may call the API from a browser, for example http://localhost:3000; may be repeated
    #[arg(long = "allowed-origin", value_name = "ORIGIN", value_parser = origin)]
    allowed_origins: Vec<String>,
    /// The folder with the built functions for `--functions lambda`; that of this program by default
    #[arg(long, value_name = "FOLDER")]
    functions_dir: Option<PathBuf>,
    #[command(flatten)]
    workers: workers::WorkerArgs,
    /// A real bot for the agent `demo`: the file has the token that BotFather has issued. Its updates are fetched, so that no
    /// public address is needed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["no_demo", "no_functions"])]
    telegram_token_file: Option<PathBuf>,
    /// The Bot API of the real bot
    #[arg(long, value_name = "URL", default_value = real_bot::API_URL, requires = "telegram_token_file")]
    telegram_api_url: String,
    /// The template to run; `infra/template.yaml` here, or the one this program was built with
    #[arg(long)]
    template: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProviderOption {
    Local,
    Fly,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum FunctionsOption {
    #[default]
    InProcess,
    Lambda,
}

#[derive(Debug, Subcommand)]
enum DevCommand {
    /// Show or move the virtual clock of the `dev` that runs on the data folder
    ///
    /// Example: agent-factory dev clock --advance 30m
    #[command(verbatim_doc_comment)]
    Clock(clock::Clock),
}

/// The folders of one run.
struct RunFolder {
    /// Where everything is kept; `None` keeps nothing.
    kept_in: Option<PathBuf>,
    /// Where workers live and `dev.json` is written.
    home: Home,
    /// Removed with this value.
    _temporary: Option<TempDir>,
}

impl Dev {
    pub async fn run(self, target: &Target) -> anyhow::Result<()> {
        match self.command {
            Some(DevCommand::Clock(clock)) => clock.run(&target.data_dir).await,
            None => self.serve(target).await,
        }
    }

    async fn serve(self, target: &Target) -> anyhow::Result<()> {
        let ansi = std::io::stderr().is_terminal();
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi);
        tracing_subscriber::registry().with(lines.with_filter(af_http::log_filter("warn"))).init();
        // Before anything is announced: a signal from here on is an orderly end.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;

        let functions = self.functions_in()?;
        let provider = self.provider(&functions)?;
        let has_virtual_clock = functions == FunctionsIn::Stack;
        let real_bot = self.telegram_token_file.as_deref();
        let real_bot = real_bot.map(|file| real_bot::read(file, &self.telegram_api_url)).transpose()?;
        let folder = self.folder(&target.data_dir)?;
        let clock = match &folder.kept_in {
            Some(dir) => VirtualClock::kept_in(dir)?,
            None => VirtualClock::running(Default::default()),
        };
        let chosen = self.workers.choose(folder.kept_in.as_deref())?;
        let workers = self.local_provider(folder.home.dir(), &chosen)?;
        let stack = Stack::start(StackOptions {
            template: self.template()?,
            data_dir: folder.kept_in.clone(),
            port: self.port,
            clock,
            // Also with Fly: workers of an earlier start may still be there to be taken down.
            providers: providers(workers.clone()),
            workers_on: workers_on(provider, workers.clone()),
            worker_env: chosen.shown_env,
            functions,
            allowed_origins: self.allowed_origins.clone(),
            demo: !self.no_demo,
            real_bot,
        })
        .await?;
        let announced = folder.home.announce(&stack);
        if let Ok(file) = &announced {
            welcome(file, stack.console_link.as_deref(), folder.home.dir(), has_virtual_clock);
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            output::line("stopping: running messages have 30 s to end");
        }
        folder.home.withdraw();
        let stopped = stop(stack, workers).await;
        announced.and(stopped)
    }

    fn folder(&self, data_dir: &Path) -> anyhow::Result<RunFolder> {
        if !self.ephemeral {
            let home = Home::take(data_dir)?;
            if self.reset {
                home.reset().context("the data folder cannot be emptied")?;
            }
            return Ok(RunFolder { kept_in: Some(data_dir.to_owned()), home, _temporary: None });
        }
        // The default folder belongs to a `dev` that keeps things; an ephemeral one announces itself elsewhere.
        let is_default = data_dir == Path::new(DATA_DIR);
        let own = || tempfile::Builder::new().prefix("agent-factory-").tempdir();
        let temporary = is_default.then(own).transpose().context("a temporary folder cannot be created")?;
        let home = Home::take(temporary.as_ref().map_or(data_dir, TempDir::path))?;
        Ok(RunFolder { kept_in: None, home, _temporary: temporary })
    }

    fn local_provider(&self, dir: &Path, chosen: &Workers) -> anyhow::Result<Option<LocalProvider>> {
        if self.no_workers {
            return Ok(None);
        }
        let data_dir = std::path::absolute(dir)?;
        let options = LocalOptions {
            program: chosen.program.clone(),
            args: chosen.args.clone(),
            kind: chosen.kind,
            env: chosen.secret_env.clone(),
            data_dir,
            stop_timeout: WORKER_STOP_TIMEOUT,
        };
        Ok(Some(LocalProvider::new(options)))
    }

    fn functions_in(&self) -> anyhow::Result<FunctionsIn> {
        let is_lambda = self.functions == FunctionsOption::Lambda;
        ensure!(is_lambda || self.functions_dir.is_none(), "--functions-dir: add --functions lambda");
        if self.no_functions {
            return Ok(FunctionsIn::CargoLambda);
        }
        if !is_lambda {
            return Ok(FunctionsIn::Stack);
        }
        let dir = match &self.functions_dir {
            Some(dir) => dir.clone(),
            None => std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default(),
        };
        Ok(FunctionsIn::Processes(std::path::absolute(dir)?))
    }

    /// A function outside of this process cannot start processes that outlive it, as on Lambda.
    fn provider(&self, functions: &FunctionsIn) -> anyhow::Result<ProviderOption> {
        match (functions, self.provider) {
            (FunctionsIn::Stack, provider) => Ok(provider.unwrap_or(ProviderOption::Local)),
            (_, None | Some(ProviderOption::Fly)) => Ok(ProviderOption::Fly),
            (_, Some(ProviderOption::Local)) => bail!(
                "--provider local: functions in processes of their own start no workers; leave it out, and workers are \
                 machines of the Fly emulator, which run the same"
            ),
        }
    }

    fn template(&self) -> anyhow::Result<String> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
        };
        match &self.template {
            Some(path) => read(path),
            None if Path::new(TEMPLATE_FILE).exists() => read(Path::new(TEMPLATE_FILE)),
            None => Ok(TEMPLATE.to_owned()),
        }
    }
}

fn origin(text: &str) -> Result<String, String> {
    let problem = "an origin is a scheme and a host, such as http://localhost:3000, without a path";
    if is_origin(text) { Ok(text.to_owned()) } else { Err(problem.to_owned()) }
}

fn workers_on(provider: ProviderOption, workers: Option<LocalProvider>) -> WorkersOn {
    match provider {
        ProviderOption::Local => WorkersOn::Local,
        ProviderOption::Fly => WorkersOn::Fly { runner: workers.map(|w| Arc::new(MachineProcesses(w)) as _) },
    }
}

fn providers(workers: Option<LocalProvider>) -> Providers {
    match workers {
        Some(workers) => Providers::none().with(Arc::new(workers)),
        None => Providers::none().switched_off(ProviderKind::LOCAL, NO_WORKERS),
    }
}

/// Stops the stack and the workers. Workers end while the stack still answers them. A request that was running when
/// the stack closed may have started a worker after that, so the workers are stopped once more at the end.
async fn stop(stack: Stack, workers: Option<LocalProvider>) -> anyhow::Result<()> {
    stack.close().await;
    let stop_workers = async || match &workers {
        Some(workers) => workers.stop_all().await.context("not all workers could be stopped"),
        None => Ok(()),
    };
    let first = stop_workers().await;
    stack.stop().await;
    first.and(stop_workers().await)
}

fn welcome(file: &DevFile, console_link: Option<&str>, dir: &Path, has_virtual_clock: bool) {
    output::line(&format!("agent-factory is ready at {}", file.url));
    if let Some(link) = console_link {
        output::line(&format!("  open: {link}"));
    }
    output::line(&format!("  admin key     {}", file.admin_key));
    output::line(&format!("  AWS endpoint  {}", file.aws_endpoint_url));
    output::line(&format!("  AWS key       {} {}", file.aws_access_key_id, file.aws_secret_access_key));
    if let Some(demo) = &file.demo {
        let is_default = dir == Path::new(DATA_DIR);
        let at = if is_default { String::new() } else { format!(" --data-dir {}", dir.display()) };
        if demo.chat_id.is_none() {
            output::line(&format!("\nwrite to https://t.me/{}, or", demo.bot_username));
        }
        output::line("\ntry, in another terminal:");
        output::line(&format!("  cargo run --{at} chat {} \"hello\"", demo.agent_key));
        output::line(&format!("  cargo run --{at} workers list"));
        if has_virtual_clock {
            output::line(&format!("  cargo run --{at} dev clock --advance 30m"));
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        dev: Dev,
    }

    /// Where functions and workers run with these options.
    fn places(args: &[&str]) -> anyhow::Result<(FunctionsIn, ProviderOption)> {
        let dev = Options::try_parse_from([&["dev"], args].concat())?.dev;
        let functions = dev.functions_in()?;
        let provider = dev.provider(&functions)?;
        Ok((functions, provider))
    }

    #[test]
    fn functions_in_processes_have_workers_on_the_fly_emulator() {
        let beside = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        for (args, functions, provider) in [
            (&[][..], FunctionsIn::Stack, ProviderOption::Local),
            (&["--provider", "fly"], FunctionsIn::Stack, ProviderOption::Fly),
            (&["--no-functions"], FunctionsIn::CargoLambda, ProviderOption::Fly),
            (&["--functions", "lambda"], FunctionsIn::Processes(beside), ProviderOption::Fly),
        ] {
            assert_eq!(places(args).unwrap(), (functions, provider), "{args:?}");
        }
        for (args, fix) in [
            (
                &["--functions", "lambda", "--provider", "local"][..],
                "--provider local: functions in processes of their own",
            ),
            (&["--no-functions", "--provider", "local"], "leave it out"),
            (&["--functions-dir", "/tmp"], "add --functions lambda"),
            (&["--functions", "lambda", "--no-functions"], "cannot be used with"),
        ] {
            let refused = places(args).unwrap_err().to_string();
            assert!(refused.contains(fix), "{args:?}: {refused}");
        }
    }
}
