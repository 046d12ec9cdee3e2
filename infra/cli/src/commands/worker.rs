//! `worker`: the reference worker.
//!
//! **The token.** The program of the agent runs beside the worker and is not trusted. It must not get the worker's token,
//! which would let it act as the worker. The environment of a process stays readable in `/proc`, also after a variable was
//! removed. So the worker starts itself again without the token in its environment, and reads it from a pipe. It is not
//! dumpable, so a process of the same user can read neither its memory nor its files in `/proc`, and cannot trace it.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The variables that give access as this worker: the token, and a URL that contains it.
const TOKEN_ENV: [&str; 2] = ["AGENT_FACTORY_WORKER_TOKEN", "CONVEX_URL"];
/// The variable by which the provider `local` finds a worker again. It cannot read the environment of a worker that is not
/// dumpable, so the worker's arguments repeat the value.
const MACHINE_ENV: &str = "AGENT_FACTORY_MACHINE";
/// Longest token. Every pipe holds so many bytes before they are read.
const MAX_TOKEN_BYTES: usize = 4_096;

/// The reference worker.
#[derive(Debug, Args)]
pub struct Worker {
    /// Read the token from standard input and not from AGENT_FACTORY_WORKER_TOKEN
    #[arg(long)]
    token_stdin: bool,
    /// The machine of the worker, by which a provider finds it again
    #[arg(long, hide = true)]
    machine: Option<OsString>,
}

impl Worker {
    /// Runs until the deployment or a signal stops it.
    pub async fn run(self) -> anyhow::Result<()> {
        hide_memory()?;
        let token = if self.token_stdin { Some(token_of(io::stdin().lock())?) } else { None };
        if token.is_none() && TOKEN_ENV.iter().any(|name| std::env::var_os(name).is_some()) {
            return Err(restarted(std::env::var_os(TOKEN_ENV[0]).unwrap_or_default())?.into());
        }
        let lines = tracing_subscriber::fmt::layer().with_ansi(false);
        tracing_subscriber::registry().with(lines.with_filter(af_http::log_filter("info"))).init();
        let config = af_agent::Config::from_env(|name| match &token {
            Some(token) if name == TOKEN_ENV[0] => Some(token.clone()),
            _ => std::env::var(name).ok(),
        })?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let exit = af_agent::run(config, shutdown).await?;
        tracing::info!(?exit, "worker ends");
        Ok(())
    }
}

/// Denies other processes of the same user access to this process.
#[cfg(target_os = "linux")]
fn hide_memory() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Other systems let only a debugger with special rights read another process.
#[cfg(not(target_os = "linux"))]
fn hide_memory() -> io::Result<()> {
    Ok(())
}

fn token_of(from: impl Read) -> io::Result<String> {
    let mut token = String::new();
    from.take(MAX_TOKEN_BYTES as u64).read_to_string(&mut token)?;
    Ok(token.trim().to_owned())
}

/// Replaces this process by the same program without the token in its environment. Returns only if that fails.
fn restarted(token: OsString) -> io::Result<io::Error> {
    let token = token.into_encoded_bytes();
    if token.len() > MAX_TOKEN_BYTES {
        return Err(io::Error::other(format!("{} is longer than {MAX_TOKEN_BYTES} bytes", TOKEN_ENV[0])));
    }
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(&token)?;
    drop(writer);
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).arg("--token-stdin").stdin(reader);
    for name in TOKEN_ENV {
        command.env_remove(name);
    }
    if let Some(machine) = std::env::var_os(MACHINE_ENV) {
        command.arg("--machine").arg(machine);
    }
    Ok(command.exec())
}
