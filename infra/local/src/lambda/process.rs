//! A process of a function, with its Runtime API. It handles one event at a time, as an instance of a function on Lambda.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::runtime_api::{self, Answer, Invocation, Start};
use crate::guard;

/// The longest time from the start of a process to its first request for an event: the limit of Lambda.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// How to start the processes of a function.
pub(super) struct Program {
    /// The logical id of the function.
    pub name: String,
    /// The built binary.
    pub path: PathBuf,
    /// All variables of the process, except for the address of its Runtime API.
    pub environment: BTreeMap<String, String>,
}

/// A running process. Dropping it kills the process.
pub(super) struct Process {
    child: Child,
    invocations: mpsc::Sender<Invocation>,
    /// The server of the Runtime API, and the tasks that print what the process prints.
    _tasks: JoinSet<()>,
}

impl Process {
    /// Starts a process, and returns when it has asked for its first event.
    pub async fn start(program: &Program) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        // In a group of its own: a Ctrl-C for this process does not reach it, so running messages can end.
        let mut child = Command::new(&program.path)
            .env_clear()
            .envs(&program.environment)
            .env("AWS_LAMBDA_RUNTIME_API", listener.local_addr()?.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.path.display()))?;
        let (invocations, received) = mpsc::channel(1);
        let (start, mut started) = watch::channel(Start::Running);
        let api = guard::loopback_only(runtime_api::router(received, start));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, api).await {
                tracing::error!(%error, "a Runtime API ended");
            }
        });
        child.stdout.take().map(|output| tasks.spawn(print_lines(program.name.clone(), output)));
        child.stderr.take().map(|output| tasks.spawn(print_lines(program.name.clone(), output)));
        let in_time = tokio::time::timeout(START_TIMEOUT, async {
            tokio::select! {
                biased;
                start = started.wait_for(|start| *start != Start::Running) => match &*start? {
                    Start::Failed(reason) => Err(anyhow!("the function cannot start: {reason}")),
                    _ => Ok(()),
                },
                status = child.wait() => Err(ended(status)),
            }
        });
        in_time.await.with_context(|| format!("the function did not start within {START_TIMEOUT:?}"))??;
        Ok(Self { child, invocations, _tasks: tasks })
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Hands the event to the process and waits for its answer. An error means that the process has ended.
    pub async fn invoke(
        &mut self,
        invocation: impl FnOnce(oneshot::Sender<Answer>) -> Invocation,
    ) -> anyhow::Result<Answer> {
        let (answer, answered) = oneshot::channel();
        if self.invocations.try_send(invocation(answer)).is_err() {
            bail!("the process does not take events");
        }
        tokio::select! {
            biased;
            answer = answered => answer.context("the process asked for another event without an answer"),
            status = self.child.wait() => Err(ended(status)),
        }
    }
}

fn ended(status: std::io::Result<ExitStatus>) -> anyhow::Error {
    match status {
        Ok(status) => anyhow!("the process ended without an answer: {status}"),
        Err(error) => anyhow::Error::from(error).context("the process cannot be watched"),
    }
}

/// Prints the lines of a process to the standard error of this one, each with the name of its function.
async fn print_lines(name: String, output: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        // Without a standard error there is nothing to tell.
        let _ = writeln!(std::io::stderr(), "[{name}] {}", String::from_utf8_lossy(&line));
    }
}
