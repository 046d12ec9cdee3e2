//! `openclaw`: runs OpenClaw's gateway on the volume, and asks it as a model that keeps the conversation itself.
//!
//! ```text
//! start ─► ready ─► message ─► message … ─► stop (SIGTERM, then SIGKILL for the whole group)
//!   └────────┴── ended by itself ──► the attempt fails with its last output; the next one starts a new gateway
//! ```
//!
//! The gateway is kept between messages. It is stopped before the files change and before a snapshot, so that its
//! databases are at rest. A message that is given up takes its gateway with it, because a run within it may not go on.

mod attachments;
mod config;
mod gateway;
mod volume;

use std::path::PathBuf;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::contract::{Engine, Failure, Progress};
use super::openai::OpenAi;
use crate::bridge::BridgeFallback;
use crate::config::{Config, OpenClawConfig};
use crate::http;
use crate::hydration::ReceivedBundle;
use gateway::{Gateway, Launch};

/// The folders on the volume, which have the names of the published images: a snapshot of one fits the other.
const STATE_DIR: &str = ".clawdbot";
const WORKSPACE_DIR: &str = "workspace";
/// The home folder of the gateway. It hides the settings that a developer's own OpenClaw has in the real one.
const HOME_DIR: &str = "home";
/// The configuration in the folder of the state.
const CONFIG_FILE: &str = "openclaw.json";

/// The engine.
pub struct OpenClaw {
    config: OpenClawConfig,
    volume: PathBuf,
    /// Where the skills are, if OpenClaw does not find them by itself.
    skills_dir: Option<PathBuf>,
    uid: Option<u32>,
    bridge: BridgeFallback,
    /// The URL of the deployment, whose links to files the engine follows.
    factory_url: String,
    links: reqwest::Client,
    /// The running gateway. A message takes it out, and puts it back after its end.
    gateway: Mutex<Option<Gateway>>,
}

impl OpenClaw {
    /// An engine on the volume of the worker.
    pub fn new(openclaw: OpenClawConfig, volume: PathBuf, config: &Config) -> Result<Self, reqwest::Error> {
        let found = volume.join(WORKSPACE_DIR).join("skills");
        let skills_dir = config.skills.as_ref().map(|skills| skills.dir.clone());
        Ok(Self {
            config: openclaw,
            skills_dir: skills_dir.filter(|dir| *dir != found),
            volume,
            uid: config.command_uid,
            bridge: config.bridge.clone(),
            factory_url: config.url.clone(),
            links: http::link_client(&config.url)?,
            gateway: Mutex::default(),
        })
    }

    /// Starts a gateway with these variables. It is not ready yet.
    fn start(&self, environment: Vec<(&'static str, String)>) -> Result<Gateway, Failure> {
        let failed = |doing: &str, error: &dyn std::fmt::Display| {
            Failure::retryable(format!("OpenClaw cannot be started: {doing}: {error}"))
        };
        for folder in [STATE_DIR, WORKSPACE_DIR, HOME_DIR] {
            volume::create_folder(&self.volume, &[folder], self.uid).map_err(|e| failed(folder, &e))?;
        }
        let workspace = self.volume.join(WORKSPACE_DIR);
        config::write(&self.config, &self.volume, &workspace, self.skills_dir.as_deref(), self.uid)
            .map_err(|error| failed("its configuration", &error))?;
        let launch = Launch { command: &self.config.command, volume: &self.volume, uid: self.uid };
        launch.start(environment).map_err(|error| failed(&self.config.command.join(" "), &error))
    }

    /// The running gateway, if it has these variables, or a new one.
    async fn take(
        &self,
        running: Option<Gateway>,
        environment: Vec<(&'static str, String)>,
    ) -> Result<Gateway, Failure> {
        if let Some(mut gateway) = running {
            if gateway.environment() == environment && gateway.is_running() {
                return Ok(gateway);
            }
            gateway.stop().await;
        }
        self.start(environment)
    }
}

#[async_trait]
impl Engine for OpenClaw {
    async fn answer(&self, bundle: &ReceivedBundle, progress: &Progress) -> Result<String, Failure> {
        let mut slot = self.gateway.lock().await;
        // If this future is dropped from here on, the gateway is killed.
        let running = slot.take();
        let mut gateway = self.take(running, self.bridge.environment(&bundle.bridge)).await?;
        let asked = attachments::saved(&self.links, &self.volume, self.uid, bundle).await;
        let limit = self.config.ready_timeout;
        gateway.wait_until_ready(limit, progress).await?;
        let model = OpenAi::gateway(gateway.api(), &self.factory_url)
            .map_err(|error| Failure::retryable(error.to_string()))?;
        let answered = model.answer(&asked, progress).await;
        match answered {
            Err(failure) if !gateway.is_running() => Err(gateway.explain(failure).await),
            answered => {
                *slot = Some(gateway);
                answered
            }
        }
    }

    /// Models write Markdown.
    fn format(&self) -> &'static str {
        "markdown"
    }

    async fn warm_up(&self) {
        let mut slot = self.gateway.lock().await;
        if slot.is_none() {
            match self.start(self.bridge.environment(&Default::default())) {
                Ok(gateway) => *slot = Some(gateway),
                // The first message tries again, and its attempt says why it failed.
                Err(failure) => tracing::warn!(reason = failure.reason, "OpenClaw is not started yet"),
            }
        }
    }

    async fn stop(&self) {
        if let Some(gateway) = self.gateway.lock().await.take() {
            gateway.stop().await;
        }
    }
}
