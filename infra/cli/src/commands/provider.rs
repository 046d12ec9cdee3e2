//! `provider`: the place where workers run.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::api::{Api, segment, text};
use crate::output;

/// Calls of one cleanup: each removes what fits into its time, so this is far more than a pool needs.
const CLEANUPS_MAX: usize = 200;

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
            Provider::Status => {
                let status = api.get("/v1/provider").await?;
                if api.json {
                    output::json(&status);
                    return Ok(());
                }
                let app = text(&status["appName"]);
                output::line(&format!(
                    "provider {} (app {app}), ready: {}",
                    text(&status["kind"]),
                    status["ready"]
                ));
                output::line(&format!("{} machines, {} volumes", status["machines"], status["volumes"]));
                lines("missing", &status["missing"]);
                lines("warning", &status["warnings"]);
            }
            Provider::Cleanup { confirm } => cleanup(api, &confirm).await?,
            Provider::DeleteVolume { volume } => {
                api.delete(&format!("/v1/provider/volumes/{}", segment(&volume))).await?;
                output::line(&format!("{volume} is deleted"));
            }
        }
        Ok(())
    }
}

/// Calls until nothing remains, or a call comes no further.
async fn cleanup(api: &Api, app: &str) -> anyhow::Result<()> {
    let body = json!({"appName": app, "confirm": app});
    let mut before = u64::MAX;
    let mut total = [0; 2];
    for _ in 0..CLEANUPS_MAX {
        let report = api.post("/v1/provider/cleanup", &body).await?;
        for (total, kind) in total.iter_mut().zip(["machines", "volumes"]) {
            *total += report[kind]["deleted"].as_u64().unwrap_or_default();
        }
        let remaining =
            ["machines", "volumes"].map(|kind| report[kind]["remaining"].as_u64().unwrap_or_default());
        let left = remaining.iter().sum();
        if left > 0 && left < before {
            before = left;
            continue;
        }
        if api.json {
            output::json(&report);
        } else {
            let [machines, volumes] = total;
            output::line(&format!("{machines} machines and {volumes} volumes are deleted"));
            lines("warning", &report["warnings"]);
            lines("error", &report["errors"]);
        }
        anyhow::ensure!(left == 0, "{} machines and {} volumes remain", remaining[0], remaining[1]);
        return Ok(());
    }
    anyhow::bail!("{before} machines and volumes remain; call again")
}

fn lines(what: &str, list: &Value) {
    for line in list.as_array().into_iter().flatten() {
        output::line(&format!("{what}: {}", text(line)));
    }
}
