//! `provider`: the place where workers run.

use af_api::provider::{Cleanup, CleanupRequest, Readiness};
use clap::Subcommand;

use crate::api::{Answer, Api, segment};
use crate::output;

/// Calls of one cleanup: each removes what fits into its time, so this is far more than a pool needs.
const MAX_CLEANUPS: usize = 200;

/// The place where workers run.
#[derive(Debug, Subcommand)]
pub enum Provider {
    /// Whether workers can run, and what is there
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
    if api.json {
        output::json(&status.json);
        return Ok(());
    }
    let Readiness { kind, app_name, ready, missing, machines, volumes, warnings } = status.body;
    let (kind, app) = (output::or_dash(kind), output::or_dash(app_name));
    output::line(&format!("provider {kind} (app {app}), ready: {ready}"));
    output::line(&format!("{machines} machines, {volumes} volumes"));
    lines("missing", &missing);
    lines("warning", &warnings);
    Ok(())
}

/// Calls until nothing remains, or until a call removes nothing more.
async fn cleanup(api: &Api, app: &str) -> anyhow::Result<()> {
    let request = CleanupRequest { app_name: app.to_owned(), confirm: app.to_owned() };
    let mut before = usize::MAX;
    let (mut machines, mut volumes) = (0, 0);
    for _ in 0..MAX_CLEANUPS {
        let Answer { json, body } = api.post::<Cleanup>("/v1/provider/cleanup", &request).await?;
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
            lines("warning", &body.warnings);
            lines("error", &body.errors);
        }
        let (machines, volumes) = (body.machines.remaining, body.volumes.remaining);
        anyhow::ensure!(left == 0, "{machines} machines and {volumes} volumes remain");
        return Ok(());
    }
    anyhow::bail!("{before} machines and volumes remain; call again")
}

fn lines(what: &str, list: &[String]) {
    for line in list {
        output::line(&format!("{what}: {line}"));
    }
}
