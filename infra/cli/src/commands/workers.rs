//! `workers`: shows and reconciles the worker pool.

use af_api::id::Id;
use af_api::pages::Limit;
use af_api::reconcile::{ActionReport, ReconcileAnswer, Report, WaitReport};
use af_api::workers::{RegisterAnswer, RegisterRequest, WorkerBody, WorkersAnswer};
use af_domain::ids::{AgentKey, ConversationId, WorkerId};
use clap::Subcommand;
use serde_json::json;

use crate::api::{Answer, Api, segment};
use crate::output;

/// The worker pool.
#[derive(Debug, Subcommand)]
pub enum Workers {
    /// List workers that have not stopped, and the report of the last reconcile
    ///
    /// Example: agent-factory workers list
    #[command(verbatim_doc_comment)]
    List,
    /// Show a worker, also one that has stopped
    ///
    /// Example: agent-factory workers show w-01K8ZD3V7Q
    #[command(verbatim_doc_comment)]
    Show {
        /// Its id
        worker: String,
    },
    /// Register a worker that you start by hand, and print its environment
    ///
    /// Example: agent-factory workers register my-worker --conversation cli:support:me --agent support
    #[command(verbatim_doc_comment)]
    Register {
        /// Its id, never used before
        worker: WorkerId,
        /// The conversation it is for
        #[arg(long)]
        conversation: Option<ConversationId>,
        /// The agent that the conversation must belong to
        #[arg(long, requires = "conversation")]
        agent: Option<AgentKey>,
    },
    /// Run a reconcile: observe, plan, execute
    ///
    /// Example: agent-factory workers reconcile --dry-run
    #[command(verbatim_doc_comment)]
    Reconcile {
        /// Only show the plan
        #[arg(long)]
        dry_run: bool,
    },
}

impl Workers {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Workers::List => list(api).await,
            Workers::Show { worker } => {
                let path = format!("/v1/workers/{}", segment(&worker));
                api.get(&path).await?.print(show_worker);
                Ok(())
            }
            Workers::Register { worker, conversation, agent } => {
                let request = RegisterRequest {
                    worker_id: Id(worker),
                    agent_key: agent.map(Id),
                    conversation_id: conversation.map(Id),
                };
                register(api, &request).await
            }
            Workers::Reconcile { dry_run } => {
                let path = format!("/v1/workers/reconcile?dryRun={dry_run}");
                let answer: Answer<ReconcileAnswer> = api.post(&path, &json!({})).await?;
                answer.print(|answer| match answer {
                    ReconcileAnswer::Ran(report) => show(report),
                    ReconcileAnswer::LeftToAnother(_) => {
                        output::line("another reconcile runs and repeats itself once");
                    }
                });
                Ok(())
            }
        }
    }
}

async fn list(api: &Api) -> anyhow::Result<()> {
    let row = |w: WorkerBody| {
        let conversation = output::or_dash(w.assignment.map(|assignment| assignment.conversation_id));
        vec![w.worker_id, w.status, w.provider, w.load.to_string(), conversation]
    };
    all(api).await?.print(|workers| {
        output::page(&["worker", "status", "provider", "load", "conversation"], workers.page, row);
        if let Some(last) = workers.last_reconcile {
            output::line("");
            output::line(&format!("the last reconcile, at {}:", output::time(last.at)));
            show(last);
        }
    });
    Ok(())
}

async fn register(api: &Api, request: &RegisterRequest) -> anyhow::Result<()> {
    let registered: Answer<RegisterAnswer> = api.post("/v1/workers", request).await?;
    registered.print(|registered| {
        for (name, value) in registered.env {
            output::exact(&format!("export {name}='{}'", value.replace('\'', r"'\''")));
        }
    });
    Ok(())
}

/// All workers, as one page. A pool has a thousand workers at most, and a page two hundred.
pub(super) async fn all(api: &Api) -> anyhow::Result<Answer<WorkersAnswer>> {
    let path = format!("/v1/workers?limit={}", Limit::MAX);
    let mut all: Answer<WorkersAnswer> = api.get(&path).await?;
    while let Some(next) = all.body.page.next_cursor.take() {
        let Answer { mut json, body, .. } =
            api.get::<WorkersAnswer>(&format!("{path}&cursor={}", segment(&next))).await?;
        all.body.page.items.extend(body.page.items);
        all.body.page.next_cursor = body.page.next_cursor;
        all.json["nextCursor"] = json["nextCursor"].take();
        if let (Some(all), Some(more)) = (all.json["items"].as_array_mut(), json["items"].as_array_mut()) {
            all.append(more);
        }
    }
    Ok(all)
}

fn show_worker(worker: WorkerBody) {
    let assignment = worker.assignment.as_ref();
    let machine = worker.machine.as_ref();
    output::fields([
        ("worker", Some(worker.worker_id)),
        ("status", Some(worker.status)),
        ("provider", Some(worker.provider)),
        ("load", Some(worker.load.to_string())),
        ("conversation", assignment.map(|assignment| assignment.conversation_id.clone())),
        ("agent", assignment.map(|assignment| assignment.agent_key.clone())),
        ("registered", Some(output::time(worker.registered_at))),
        ("last sign of life", worker.heartbeat_at.map(output::time)),
        ("last claim", worker.last_claim_at.map(output::time)),
        ("drains if idle", worker.scheduled_shutdown_at.map(output::time)),
        ("drain reason", worker.drain_reason),
        ("drains until", worker.drain_by.map(output::time)),
        ("stopped", worker.stopped_at.map(output::time)),
        ("last snapshot", worker.last_snapshot_id),
        ("final snapshot", worker.snapshot_missed.then(|| "missed".to_owned())),
        ("image", worker.image),
        ("app", machine.map(|machine| machine.app_name.clone())),
        ("machine", machine.map(|machine| machine.machine_id.clone())),
        ("region", machine.map(|machine| machine.region.clone())),
        ("volume", worker.volume.map(|volume| volume.volume_id.unwrap_or(volume.name))),
    ]);
}

fn show(report: Report) {
    let action = |a: ActionReport| vec![a.action, a.subject, a.outcome, a.reason];
    if report.actions.is_empty() {
        output::line("nothing to do");
    } else {
        let actions = report.actions.into_iter().map(action).collect();
        output::table(&["action", "subject", "outcome", "reason"], actions);
    }
    let wait = |wait: WaitReport| {
        let left = wait.until.map(|until| output::span(until.saturating_sub(report.at)));
        vec![wait.subject, wait.waits_for, output::or_dash(left)]
    };
    let waits: Vec<_> = report.waits.into_iter().map(wait).collect();
    if !waits.is_empty() {
        output::line("");
        output::table(&["subject", "waits for", "at most"], waits);
    }
    output::lines("warning", &report.warnings);
    for error in &report.errors {
        output::error(error);
    }
}
