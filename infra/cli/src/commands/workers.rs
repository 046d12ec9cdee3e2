//! `workers`: the pool, and what reconcile does with it.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::api::{Api, segment, text};
use crate::output;

/// The worker pool.
#[derive(Debug, Subcommand)]
pub enum Workers {
    /// List workers that are not stopped, and what the last reconcile did and waits for
    List,
    /// Show a worker, also one that has stopped
    Show {
        /// Its id
        worker: String,
    },
    /// Register a worker that you start by hand, and print its environment
    Register {
        /// Its id, never used before
        worker: String,
        /// The conversation it is for
        #[arg(long)]
        conversation: Option<String>,
        /// The agent that the conversation must belong to
        #[arg(long, requires = "conversation")]
        agent: Option<String>,
    },
    /// Look at everything, plan, act
    Reconcile {
        /// Only show what it would do and what it waits for
        #[arg(long)]
        dry_run: bool,
    },
}

impl Workers {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Workers::List => {
                let page = all(api).await?;
                if api.json {
                    output::json(&page);
                    return Ok(());
                }
                let row = |w: &Value| {
                    let conversation = &w["assignment"]["conversationId"];
                    [&w["workerId"], &w["status"], &w["provider"], &w["load"], conversation]
                        .map(text)
                        .to_vec()
                };
                let rows = page["items"].as_array().into_iter().flatten().map(row).collect();
                output::table(&["worker", "status", "provider", "load", "conversation"], rows);
                let last = &page["lastReconcile"];
                if !last.is_null() {
                    output::line("");
                    output::line(&format!("the last reconcile, at {}:", text(&last["at"])));
                    show(last);
                }
            }
            Workers::Show { worker } => {
                output::json(&api.get(&format!("/v1/workers/{}", segment(&worker))).await?)
            }
            Workers::Register { worker, conversation, agent } => {
                let mut body = json!({"workerId": worker});
                if let Some(conversation) = conversation {
                    body["conversationId"] = conversation.into();
                }
                if let Some(agent) = agent {
                    body["agentKey"] = agent.into();
                }
                let registered = api.post("/v1/workers", &body).await?;
                if api.json {
                    output::json(&registered);
                    return Ok(());
                }
                for (name, value) in registered["env"].as_object().into_iter().flatten() {
                    output::line(&format!("export {name}='{}'", text(value).replace('\'', r"'\''")));
                }
            }
            Workers::Reconcile { dry_run } => {
                let report = api.post(&format!("/v1/workers/reconcile?dryRun={dry_run}"), &json!({})).await?;
                if api.json {
                    output::json(&report);
                } else {
                    show(&report);
                }
            }
        }
        Ok(())
    }
}

/// All workers, as one page. The pool has a thousand at most, and a page two hundred.
async fn all(api: &Api) -> anyhow::Result<Value> {
    let mut all = api.get("/v1/workers?limit=200").await?;
    while let Some(next) = all["nextCursor"].as_str() {
        let mut page = api.get(&format!("/v1/workers?limit=200&cursor={}", segment(next))).await?;
        all["nextCursor"] = page["nextCursor"].take();
        if let (Some(all), Some(more)) = (all["items"].as_array_mut(), page["items"].as_array_mut()) {
            all.append(more);
        }
    }
    Ok(all)
}

fn show(report: &Value) {
    if report["leftToAnother"] == true {
        return output::line("another reconcile runs and will run once more");
    }
    let rows = |list: &Value, fields: &[&str]| -> Vec<Vec<String>> {
        let row = |item: &Value| fields.iter().map(|f| text(&item[*f])).collect();
        list.as_array().into_iter().flatten().map(row).collect()
    };
    let actions = rows(&report["actions"], &["action", "subject", "outcome", "reason"]);
    if actions.is_empty() {
        output::line("nothing to do");
    } else {
        output::table(&["action", "subject", "outcome", "reason"], actions);
    }
    let wait = |wait: &Value| {
        let left = wait["until"]
            .as_u64()
            .zip(report["at"].as_u64())
            .map(|(until, at)| until.saturating_sub(at) / 1_000);
        let longest = left.map_or_else(|| "-".to_owned(), |s| format!("{} min {} s", s / 60, s % 60));
        vec![text(&wait["subject"]), text(&wait["waitsFor"]), longest]
    };
    let waits: Vec<_> = report["waits"].as_array().into_iter().flatten().map(wait).collect();
    if !waits.is_empty() {
        output::line("");
        output::table(&["subject", "waits for", "at most"], waits);
    }
    for warning in report["warnings"].as_array().into_iter().flatten() {
        output::line(&format!("warning: {}", text(warning)));
    }
    for error in report["errors"].as_array().into_iter().flatten() {
        output::error(&text(error));
    }
}
