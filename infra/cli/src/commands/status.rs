//! `status`: a deployment on one screen.

use std::collections::BTreeMap;

use af_api::provider::Readiness;
use af_api::queue::QueueStats;
use clap::Args;
use serde_json::{Value, json};

use super::{doctor, workers};
use crate::api::{Answer, Api};
use crate::output;

/// The state of the deployment.
#[derive(Debug, Args)]
pub struct Status {}

impl Status {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        let document: Answer<Value> = api.get("/openapi.json").await?;
        let version = document.json["info"]["version"].as_str().unwrap_or_default().to_owned();
        let provider: Answer<Readiness> = api.get("/v1/provider").await?;
        let queue: Answer<QueueStats> = api.get("/v1/queue/stats").await?;
        let pool = workers::all(api).await?;
        let mut by_status: BTreeMap<&str, usize> = BTreeMap::new();
        pool.body.page.items.iter().for_each(|w| *by_status.entry(&w.status).or_default() += 1);
        let reconciled_at = pool.body.last_reconcile.as_ref().map(|last| last.at);
        let findings = doctor::check(api).await?.findings;
        if api.json {
            output::json(&json!({
                "url": api.url(), "version": version, "provider": provider.json, "queue": queue.json,
                "workers": by_status, "lastReconcileAt": reconciled_at, "findings": findings,
            }));
            return Ok(());
        }
        let QueueStats { queued_ready, queued_scheduled, processing, dead_letter, .. } = queue.body;
        output::fields([
            ("deployment", Some(format!("{} ({})", api.url(), api.origin))),
            ("version", Some(format!("{version}; this program has {}", env!("CARGO_PKG_VERSION")))),
            ("provider", Some(of_provider(&provider.body))),
            ("workers", Some(of_pool(&by_status))),
            (
                "queue",
                Some(format!(
                    "{queued_ready} due, {queued_scheduled} later, {processing} running, {dead_letter} dead letters"
                )),
            ),
            ("oldest wait", Some(output::or_dash(queue.body.oldest_waiting_age_ms.map(output::span)))),
            ("reconciled", Some(output::or_dash(reconciled_at.map(output::time)))),
            ("problems", Some(of_findings(findings.len()))),
        ]);
        Ok(())
    }
}

fn of_provider(provider: &Readiness) -> String {
    let kind = provider.kind.as_deref().unwrap_or("none");
    let ready = if provider.ready { "ready" } else { "not ready" };
    format!("{kind}, {ready}; {} machines, {} volumes", provider.machines, provider.volumes)
}

fn of_pool(by_status: &BTreeMap<&str, usize>) -> String {
    let counts: Vec<_> = by_status.iter().map(|(status, count)| format!("{count} {status}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

fn of_findings(count: usize) -> String {
    if count == 0 { "none".to_owned() } else { format!("{count}; `agent-factory doctor` shows them") }
}
