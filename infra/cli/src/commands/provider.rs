//! `provider`: checks and clears the provider that runs workers.

use af_api::provider::{Cleanup, CleanupRequest, Readiness};
use clap::Subcommand;

use crate::api::{Answer, Api, segment};
use crate::output;

/// The most calls of one cleanup. Each call removes as many as its time allows, so this is far more than a pool needs.
const MAX_CLEANUPS: usize = 200;

/// The provider that runs workers.
#[derive(Debug, Subcommand)]
pub enum Provider {
    /// Show whether workers can run, and count machines and volumes
    Status,
    /// Remove this deployment's machines and volumes, with all files on them
    Cleanup {
        /// Name of the app to clear
        #[arg(long, value_name = "APP")]
        confirm: String,
    },
    /// Delete one volume that no machine has
    DeleteVolume {
        /// Its id at the provider
        volume: String,
    },
}

impl Provider {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Provider::Status => status(api).await,
            Provider::Cleanup { confirm } => cleanup(api, &confirm).await,
            Provider::DeleteVolume { volume } => {
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

/// Calls until nothing remains, or until a call removes nothing more.
async fn cleanup(api: &Api, app: &str) -> anyhow::Result<()> {
    let request = CleanupRequest { app_name: app.to_owned(), confirm: app.to_owned() };
    let mut before = usize::MAX;
    let (mut machines, mut volumes) = (0, 0);
    for _ in 0..MAX_CLEANUPS {
        let Answer { json, body, .. } = api.post::<Cleanup>("/v1/provider/cleanup", &request).await?;
        machines += body.machines.deleted;
        volumes += body.volumes.deleted;
        let left = body.machines.remaining + body.volumes.remaining;
        if left > 0 && left < before {
            before = left;
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
    anyhow::bail!("{before} machines and volumes remain; call again")
}
