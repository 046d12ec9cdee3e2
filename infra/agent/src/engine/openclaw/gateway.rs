//! The process of the gateway: start, readiness, last output, end.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use reqwest::StatusCode;
use rustix::process::{Pid, Signal};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::{CONFIG_FILE, HOME_DIR, STATE_DIR};
use crate::config::OpenAiConfig;
use crate::engine::command::{Group, NOT_INHERITED, last_lines};
use crate::engine::contract::{Failure, Progress};
use crate::http;

/// The interval of the checks for readiness.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// Time limit of one check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// From SIGTERM to SIGKILL. OpenClaw needs about ten seconds to close its databases on a busy machine.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Longest wait for the last output after the end of the process.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// How much of the last output is kept, in bytes.
const MAX_OUTPUT_BYTES: usize = 4 * 1024;
/// How much one read takes from a pipe.
const CHUNK_BYTES: usize = 4 * 1024;
/// Variables of the deployment that name the fixed address of a published image.
const ADDRESS: [&str; 3] = ["OPENCLAW_GATEWAY_HOST", "OPENCLAW_GATEWAY_PORT", "OPENCLAW_GATEWAY_URL"];

/// How to start a gateway.
pub struct Launch<'a> {
    pub command: &'a [String],
    pub volume: &'a Path,
    pub uid: Option<u32>,
}

/// A running gateway. Its process group is killed on drop.
pub struct Gateway {
    child: Child,
    group: Group,
    output: Output,
    /// The tasks that keep the output.
    readers: Vec<JoinHandle<()>>,
    environment: Vec<(&'static str, String)>,
    http: reqwest::Client,
    url: String,
    token: SecretString,
    is_ready: bool,
}

/// The last output of a process.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Launch<'_> {
    /// Starts a gateway with these variables in addition to the worker's own, on a free port and with a new token.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(&self, environment: Vec<(&'static str, String)>) -> std::io::Result<Gateway> {
        let (program, arguments) = self.command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        // Another process may take the port before the gateway does. Then the gateway ends, and the attempt fails.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut random = [0; 24];
        StdRng::from_os_rng().fill_bytes(&mut random);
        let token = HEXLOWER.encode(&random);
        let url = format!("http://127.0.0.1:{port}");
        let state = self.volume.join(STATE_DIR);
        let mut command = Command::new(program);
        for name in NOT_INHERITED.iter().chain(&ADDRESS) {
            command.env_remove(name);
        }
        if let Some(uid) = self.uid {
            // The standard library also removes the groups of root.
            command.uid(uid).gid(uid);
        }
        let mut child = command
            .args(arguments)
            .args(["--port", &port.to_string(), "--bind", "loopback", "--auth", "token"])
            .current_dir(self.volume)
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .env("HOME", self.volume.join(HOME_DIR))
            .env("OPENCLAW_STATE_DIR", &state)
            .env("OPENCLAW_CONFIG_PATH", state.join(CONFIG_FILE))
            .env("OPENCLAW_GATEWAY_TOKEN", &token)
            // The deployment carries messages, and the image has the version.
            .env("OPENCLAW_SKIP_CHANNELS", "1")
            .env("OPENCLAW_NO_AUTO_UPDATE", "1")
            .env("OPENCLAW_NO_RESPAWN", "1")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let output = Output::default();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let readers = [
            stdout.map(|pipe| tokio::spawn(output.clone().keep(pipe))),
            stderr.map(|pipe| tokio::spawn(output.clone().keep(pipe))),
        ];
        let readers = readers.into_iter().flatten().collect();
        let http = http::client(&url, Some(CHECK_TIMEOUT)).map_err(std::io::Error::other)?;
        let group = Group::of(&child);
        let (token, is_ready) = (token.into(), false);
        Ok(Gateway { child, group, output, readers, environment, http, url, token, is_ready })
    }
}

impl Gateway {
    /// The variables that it was started with in addition to the worker's own.
    pub fn environment(&self) -> &[(&'static str, String)] {
        &self.environment
    }

    /// Whether the process has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its API.
    pub fn api(&self) -> OpenAiConfig {
        OpenAiConfig {
            base_url: format!("{}/v1", self.url),
            model: "openclaw".to_owned(),
            api_key: Some(self.token.clone()),
        }
    }

    /// Waits until the gateway answers messages.
    ///
    /// # Errors
    /// When it ends or is not ready within `limit`. The reason has its last output.
    pub async fn wait_until_ready(&mut self, limit: Duration, progress: &Progress) -> Result<(), Failure> {
        let start = Instant::now();
        while !self.is_ready {
            if !self.is_running() {
                return Err(self.explain(Failure::retryable("OpenClaw ended before it was ready")).await);
            }
            if start.elapsed() > limit {
                let reason = format!("OpenClaw was not ready within {} s", limit.as_secs());
                return Err(self.explain(Failure::retryable(reason)).await);
            }
            self.is_ready = self.is_admitting().await;
            if !self.is_ready {
                progress.show(&format!("OpenClaw starts ({} s)", start.elapsed().as_secs()));
                sleep(CHECK_INTERVAL).await;
            }
        }
        tracing::info!(waited_ms = start.elapsed().as_millis(), "OpenClaw is ready");
        Ok(())
    }

    /// Whether the endpoint for messages is served and admits them. A request without a message is refused with 400 then,
    /// before it reaches the model. Older versions have no `/readyz`.
    async fn is_admitting(&self) -> bool {
        let asked = self.http.post(format!("{}/v1/chat/completions", self.url));
        let asked = asked.bearer_auth(self.token.expose_secret()).json(&json!({"messages": []}));
        let is_served = asked.send().await.is_ok_and(|answer| answer.status() == StatusCode::BAD_REQUEST);
        if !is_served {
            return false;
        }
        let ready = self.http.get(format!("{}/readyz", self.url)).send().await;
        ready.is_ok_and(|answer| answer.status() != StatusCode::SERVICE_UNAVAILABLE)
    }

    /// The failure with the last output of the process.
    pub async fn explain(&mut self, failure: Failure) -> Failure {
        if !self.is_running() {
            // What it wrote last may still be in the pipes. Processes that it has started may hold them open.
            let _ = timeout(DRAIN_LIMIT, join_all(self.readers.drain(..))).await;
        }
        let lines = self.output.text();
        Failure { reason: format!("{}; its last output:\n{lines}", failure.reason), ..failure }
    }

    /// Ends the process: SIGTERM to the process itself, and after the limit SIGKILL to the whole group.
    pub async fn stop(mut self) {
        let start = Instant::now();
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid
            && let Err(error) = rustix::process::kill_process(pid, Signal::TERM)
        {
            tracing::warn!(%error, "OpenClaw could not be asked to stop");
        }
        let has_ended = timeout(STOP_LIMIT, self.child.wait()).await.is_ok();
        if !has_ended {
            tracing::warn!("OpenClaw did not stop in time and is killed");
        }
        // The group may hold processes of the agent's tools.
        drop(self.group);
        let _ = self.child.wait().await;
        tracing::info!(has_ended, took_ms = start.elapsed().as_millis(), "OpenClaw has stopped");
    }
}

impl Output {
    /// Keeps the end of a pipe's text. It can contain messages, so the log has it at `debug` only.
    async fn keep(self, mut pipe: impl AsyncRead + Unpin) {
        let mut chunk = [0; CHUNK_BYTES];
        while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
            tracing::debug!(text = %String::from_utf8_lossy(&chunk[..read]), "OpenClaw");
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(&chunk[..read]);
            let surplus = kept.len().saturating_sub(MAX_OUTPUT_BYTES);
            kept.drain(..surplus);
        }
    }

    /// The last lines.
    fn text(&self) -> String {
        last_lines(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
