//! `command`: runs a program. It reads the bundle as one JSON document on stdin and writes the reply to stdout. Each
//! line of the reply is also shown as progress. An exit code other than zero is a failure, whose reason is the last
//! lines of stderr.
//!
//! The program runs in a process group of its own. The group is killed when the engine is stopped and when the program
//! has ended, so no process of it outlives the message, unless it has left the group. A worker that runs as root runs the
//! program as another user. The program inherits the worker's environment and the bridge
//! values, without the variables that give access as this worker.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

use super::contract::{Engine, Failure, MAX_REPLY_BYTES, Progress};
use crate::bridge::BridgeFallback;
use crate::config::Config;
use crate::hydration::ReceivedBundle;

/// How much of the end of stderr is kept, in bytes and in lines.
const MAX_STDERR_BYTES: usize = 4 * 1024;
const MAX_STDERR_LINES: usize = 10;
/// How much one read takes from a pipe.
const CHUNK_BYTES: usize = 8 * 1024;
/// Time for reading the rest of the pipes after the program has ended and its group was killed. A process that left the
/// group may hold them open without end.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// Variables that give access: the worker's token, a URL that contains it, and the key of an operator.
pub const NOT_INHERITED: [&str; 3] = ["AGENT_FACTORY_WORKER_TOKEN", "CONVEX_URL", "AGENT_FACTORY_API_KEY"];

/// The engine.
pub struct Command {
    program: PathBuf,
    data_dir: Option<PathBuf>,
    skills_dir: Option<PathBuf>,
    workspace_dir: Option<PathBuf>,
    uid: Option<u32>,
    bridge: BridgeFallback,
}

impl Command {
    /// An engine that runs `program`, in the worker's data folder if there is one.
    pub fn new(program: PathBuf, config: &Config) -> Self {
        let skills_dir = config.skills.as_ref().map(|skills| skills.dir.clone());
        let (data_dir, uid) = (config.data_dir.clone(), config.command_uid);
        let workspace_dir = config.workspace_dir.clone();
        Self { program, data_dir, skills_dir, workspace_dir, uid, bridge: config.bridge.clone() }
    }

    fn start(&self, bundle: &ReceivedBundle) -> std::io::Result<Child> {
        let mut command = tokio::process::Command::new(&self.program);
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        if let Some(data_dir) = &self.data_dir {
            command.current_dir(data_dir).env("AGENT_FACTORY_DATA_DIR", data_dir);
        }
        if let Some(skills_dir) = &self.skills_dir {
            command.env("OPENCLAW_SKILLS_DIR", skills_dir);
        }
        if let Some(workspace_dir) = &self.workspace_dir {
            command.env("OPENCLAW_WORKSPACE_DIR", workspace_dir);
        }
        if let Some(uid) = self.uid {
            // The standard library also removes the groups of root.
            command.uid(uid).gid(uid);
        }
        command
            .envs(self.bridge.environment(&bundle.bridge))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

#[async_trait]
impl Engine for Command {
    async fn answer(&self, bundle: &ReceivedBundle, progress: &Progress) -> Result<String, Failure> {
        let program = self.program.display();
        let mut child = self
            .start(bundle)
            .map_err(|error| Failure::retryable(format!("{program} cannot be started: {error}")))?;
        let group = Group::of(&child);
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Failure::retryable(format!("{program} has no pipes")));
        };
        let (mut reply, mut stderr_text) = (Vec::new(), Vec::new());
        let status = {
            let pipes = async {
                let fed = feed(stdin, bundle);
                let read = read_reply(stdout, &mut reply, progress);
                tokio::try_join!(fed, read, read_end(stderr, &mut stderr_text))
            };
            wait(&mut child, group, pipes).await?
        };
        if !status.success() {
            return Err(Failure::retryable(format!(
                "{program} ended with {status}: {}",
                last_lines(&stderr_text)
            )));
        }
        Ok(String::from_utf8_lossy(&reply).trim_end().to_owned())
    }

    /// Agents write HTML.
    fn format(&self) -> &'static str {
        "html"
    }
}

/// Waits for the program's end while its pipes are served, and then reads the rest of the pipes.
async fn wait<T>(
    child: &mut Child,
    group: Group,
    pipes: impl Future<Output = Result<T, Failure>>,
) -> Result<ExitStatus, Failure> {
    let lost = |error: std::io::Error| Failure::retryable(format!("the program was lost: {error}"));
    tokio::pin!(pipes);
    tokio::select! {
        served = &mut pipes => {
            served?;
            child.wait().await.map_err(lost)
        }
        status = child.wait() => {
            drop(group);
            if let Ok(served) = tokio::time::timeout(DRAIN_LIMIT, &mut pipes).await {
                served?;
            }
            status.map_err(lost)
        }
    }
}

/// The program's process group, which is killed on drop. It is not an error when the group has already ended.
pub struct Group(Option<Pid>);

impl Group {
    pub fn of(child: &Child) -> Self {
        Self(child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0
            && let Err(error) = rustix::process::kill_process_group(pid, Signal::KILL)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(%error, "a process group could not be killed");
        }
    }
}

/// Writes the bundle. The program may end without reading all of it.
async fn feed(mut stdin: ChildStdin, bundle: &ReceivedBundle) -> Result<(), Failure> {
    match stdin.write_all(bundle.raw.to_string().as_bytes()).await {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::retryable(format!("the bundle could not be written to the program: {error}")))
        }
        _ => Ok(()),
    }
}

async fn read_reply(
    mut stdout: impl AsyncRead + Unpin,
    reply: &mut Vec<u8>,
    progress: &Progress,
) -> Result<(), Failure> {
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        let read = stdout.read(&mut chunk).await.map_err(unreadable)?;
        if read == 0 {
            return Ok(());
        }
        if reply.len() + read > MAX_REPLY_BYTES {
            // Another attempt would run the program again and end the same way.
            return Err(Failure::permanent(format!("the reply is longer than {MAX_REPLY_BYTES} bytes")));
        }
        reply.extend_from_slice(&chunk[..read]);
        if let Some(line) = last_complete_line(reply) {
            progress.show(&String::from_utf8_lossy(line));
        }
    }
}

/// The last line that ends with a newline.
fn last_complete_line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n')?;
    bytes[..end].rsplit(|byte| *byte == b'\n').next()
}

async fn read_end(mut stderr: impl AsyncRead + Unpin, end: &mut Vec<u8>) -> Result<(), Failure> {
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        let read = stderr.read(&mut chunk).await.map_err(unreadable)?;
        if read == 0 {
            return Ok(());
        }
        end.extend_from_slice(&chunk[..read]);
        let surplus = end.len().saturating_sub(MAX_STDERR_BYTES);
        end.drain(..surplus);
    }
}

pub fn last_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(MAX_STDERR_LINES)..].join("\n")
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::retryable(format!("the program's output cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_the_last_complete_line() {
        assert_eq!(last_complete_line(b"no end yet"), None);
        assert_eq!(last_complete_line(b"one\ntwo\nthr"), Some(&b"two"[..]));
        assert_eq!(last_complete_line(b"one\n"), Some(&b"one"[..]));
    }

    #[test]
    fn a_failure_reason_has_only_the_last_lines_of_stderr() {
        let stderr_text: String = (0..50).map(|n| format!("line {n}\n")).collect();
        let reason = last_lines(stderr_text.as_bytes());
        assert!(reason.starts_with("line 40") && reason.ends_with("line 49"), "{reason}");
    }
}
