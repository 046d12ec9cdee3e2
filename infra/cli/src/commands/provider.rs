//! `provider`: checks and clears the provider that runs workers.

use std::time::Duration;

use af_api::provider::{Cleanup, CleanupRequest, Readiness};
use anyhow::Context;
use clap::Subcommand;

use crate::api::{Answer, Api, segment};
use crate::output;

/// The most calls in a row that remove nothing before a cleanup gives up: with [`PAUSE`], the time in which a provider
/// releases volumes. A call that removes something begins the count anew, so every cleanup ends.
const MAX_IDLE_CALLS: usize = 15;
/// The pause between two calls of a cleanup.
const PAUSE: Duration = Duration::from_secs(2);

/// The provider that runs workers.
#[derive(Debug, Subcommand)]
pub enum Provider {
    /// Show whether workers can run, and count machines and volumes
    ///
    /// Example: agent-factory provider status
    #[command(verbatim_doc_comment)]
    Status,
    /// Remove this deployment's machines and volumes, with all files on them
    ///
    /// Example: agent-factory provider cleanup --dry-run
    #[command(verbatim_doc_comment)]
    Cleanup {
        /// Name of the configured app, so that a mistake removes nothing; `provider status` shows it
        #[arg(long, value_name = "APP", required_unless_present = "dry_run")]
        confirm: Option<String>,
        /// Only count what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete one volume that no machine has
    ///
    /// Example: agent-factory provider delete-volume vol_4x2p9 --yes
    #[command(verbatim_doc_comment)]
    DeleteVolume {
        /// Its id at the provider
        volume: String,
    },
}

impl Provider {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Provider::Status => status(api).await,
            Provider::Cleanup { confirm, dry_run } => {
                let name = match confirm {
                    Some(name) => name,
                    None => configured_app(api).await?,
                };
                let request = CleanupRequest { app_name: name.clone(), confirm: name, dry_run };
                if dry_run { preview(api, &request).await } else { cleanup(api, &request).await }
            }
            Provider::DeleteVolume { volume } => {
                api.confirm(&format!("volume {volume} with its files"))?;
                api.delete(&format!("/v1/provider/volumes/{}", segment(&volume))).await?;
                output::line(&format!("volume {volume} is deleted"));
                Ok(())
            }
        }
    }
}

async fn status(api: &Api) -> anyhow::Result<()> {
    let status: Answer<Readiness> = api.get("/v1/provider").await?;
    status.print(|Readiness { kind, app_name, ready, missing, machines, volumes, warnings }| {
        let (kind, app) = (output::or_dash(kind), output::or_dash(app_name));
        output::line(&format!("provider {kind} (app {app}), ready: {ready}"));
        output::line(&format!("{machines} machines, {volumes} volumes"));
        output::lines("missing", &missing);
        output::lines("warning", &warnings);
    });
    Ok(())
}

/// The name of the app that a cleanup clears; that of the provider if it has no apps.
async fn configured_app(api: &Api) -> anyhow::Result<String> {
    let Readiness { kind, app_name, .. } = api.get("/v1/provider").await?.body;
    app_name.or(kind).context("no provider is configured")
}

async fn preview(api: &Api, request: &CleanupRequest) -> anyhow::Result<()> {
    let counted: Answer<Cleanup> = api.post("/v1/provider/cleanup", request).await?;
    counted.print(|Cleanup { app_name, machines, volumes, warnings, .. }| {
        let (machines, volumes) = (machines.found, volumes.found);
        output::line(&format!("{machines} machines and {volumes} volumes of {app_name} would be deleted"));
        output::lines("warning", &warnings);
    });
    Ok(())
}

/// Calls until nothing remains, or until several calls in a row remove nothing. A provider releases the volume of a
/// machine some moments after it has removed the machine.
async fn cleanup(api: &Api, request: &CleanupRequest) -> anyhow::Result<()> {
    let (mut left, mut idle_calls) = (usize::MAX, 0);
    let (mut machines, mut volumes) = (0, 0);
    loop {
        let Answer { json, body, .. } = api.post::<Cleanup>("/v1/provider/cleanup", request).await?;
        machines += body.machines.deleted;
        volumes += body.volumes.deleted;
        let remaining = body.machines.remaining + body.volumes.remaining;
        idle_calls = if remaining < left { 0 } else { idle_calls + 1 };
        left = remaining;
        if left > 0 && idle_calls < MAX_IDLE_CALLS {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        if api.json {
            output::json(&json);
        } else {
            output::line(&format!("{machines} machines and {volumes} volumes are deleted"));
            output::lines("warning", &body.warnings);
            output::lines("error", &body.errors);
        }
        let (machines, volumes) = (body.machines.remaining, body.volumes.remaining);
        anyhow::ensure!(left == 0, "{machines} machines and {volumes} volumes remain");
        return Ok(());
    }
}
