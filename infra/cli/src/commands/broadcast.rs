//! `broadcast`: one text to every active agent.

use std::io::IsTerminal;
use std::time::Duration;

use af_api::broadcasts::{BroadcastBody, BroadcastRequest};
use af_api::id::Id;
use af_api::pages::{Limit, Page};
use af_api::push::CompanyQuery;
use af_domain::ids::{BroadcastId, CompanyId};
use af_domain::push::BroadcastStatus;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::api::{Answer, Api, ApiError, segment};
use crate::output;

/// The time between two looks at a broadcast that runs.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most failures in a row before the command ends: the deployment restarts within this time.
const MAX_FAILURES: u32 = 30;

/// Broadcasts.
#[derive(Debug, Subcommand)]
pub enum Broadcast {
    /// Send a text to every active agent
    ///
    /// Example: agent-factory broadcast send --title News --text 'We have moved.'
    #[command(verbatim_doc_comment)]
    Send {
        /// The title, the first paragraph of the message
        #[arg(long)]
        title: String,
        /// The text
        #[arg(long)]
        text: String,
        /// The person or program that asks for it
        #[arg(long)]
        requested_by: Option<String>,
        /// The company in whose name it is sent
        #[arg(long)]
        company: Option<CompanyId>,
        /// Show the progress until the broadcast has ended
        #[arg(long)]
        wait: bool,
    },
    /// Show a broadcast and its progress
    ///
    /// Example: agent-factory broadcast show 01K8ZD3V7Q2M4N6P8R0T2W4Y6A
    #[command(verbatim_doc_comment)]
    Show {
        /// The id
        broadcast: BroadcastId,
        /// Show the progress until the broadcast has ended
        #[arg(long)]
        wait: bool,
    },
    /// List the broadcasts of a company, the newest first
    ///
    /// Example: agent-factory broadcast list --company acme
    #[command(verbatim_doc_comment)]
    List {
        /// The company
        #[arg(long)]
        company: Option<CompanyId>,
        /// Most broadcasts on the page, 1 to 200
        #[arg(long, default_value_t)]
        limit: Limit,
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Cancel a running broadcast; targets that have their message keep it
    ///
    /// Example: agent-factory broadcast cancel 01K8ZD3V7Q2M4N6P8R0T2W4Y6A
    #[command(verbatim_doc_comment)]
    Cancel {
        /// The id
        broadcast: BroadcastId,
    },
}

impl Broadcast {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Broadcast::Send { title, text, requested_by, company, wait } => {
                let request = BroadcastRequest { company_id: company.map(Id), title, text, requested_by };
                let sent: Answer<BroadcastBody> = api.post("/v1/broadcasts", &request).await?;
                end(api, sent, wait).await?;
            }
            Broadcast::Show { broadcast, wait } => end(api, api.get(&path(&broadcast)).await?, wait).await?,
            Broadcast::List { company, limit, cursor } => {
                let query = CompanyQuery { company_id: company.map(Id), limit, cursor };
                let listed: Answer<Page<BroadcastBody>> = api.find("/v1/broadcasts", &query).await?;
                let headings = ["id", "title", "status", "targets", "enqueued", "failed", "created at"];
                listed.print(|page| output::page(&headings, page, row));
            }
            Broadcast::Cancel { broadcast } => {
                let path = format!("{}/cancel", path(&broadcast));
                let cancelled: Answer<BroadcastBody> = api.post(&path, &json!({})).await?;
                cancelled.print(show);
            }
        }
        Ok(())
    }
}

fn path(broadcast: &BroadcastId) -> String {
    path_of(broadcast.as_str())
}

fn path_of(id: &str) -> String {
    format!("/v1/broadcasts/{}", segment(id))
}

/// Prints a broadcast. With `wait` it first shows the progress until the broadcast has ended, and fails if not every target
/// was tried.
async fn end(api: &Api, shown: Answer<BroadcastBody>, wait: bool) -> anyhow::Result<()> {
    if !wait {
        shown.print(show);
        return Ok(());
    }
    let ended = ended(api, shown).await?;
    let (id, status) = (ended.body.broadcast_id.clone(), ended.body.status.clone());
    ended.print(show);
    anyhow::ensure!(status == BroadcastStatus::Done.as_str(), "broadcast {id} has ended as {status}");
    Ok(())
}

/// Shows the progress until the broadcast has ended.
async fn ended(api: &Api, mut shown: Answer<BroadcastBody>) -> anyhow::Result<Answer<BroadcastBody>> {
    let mut progress = Progress::new();
    let mut failures = 0;
    while shown.body.status == BroadcastStatus::Running.as_str() {
        progress.show(&shown.body);
        tokio::time::sleep(LOOK_EVERY).await;
        match api.get(&path_of(&shown.body.broadcast_id)).await {
            Ok(looked) => (shown, failures) = (looked, 0),
            Err(error @ ApiError::Refused { status: ..500, .. }) => return Err(error.into()),
            Err(error) if failures == MAX_FAILURES => return Err(error.into()),
            Err(_) => failures += 1,
        }
    }
    Ok(shown)
}

/// The progress of a broadcast, for people: in place on a terminal, otherwise in a line for each change. It goes to standard
/// error, so that standard output has the result only.
struct Progress {
    in_place: Option<ProgressBar>,
    last: String,
}

impl Progress {
    fn new() -> Self {
        let in_place = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {elapsed} {msg} ({per_sec})");
            ProgressBar::new_spinner().with_style(style.expect("the template is valid"))
        });
        Self { in_place, last: String::new() }
    }

    fn show(&mut self, broadcast: &BroadcastBody) {
        let text = figures(broadcast);
        match &self.in_place {
            Some(bar) => {
                bar.set_position(broadcast.total_targets);
                bar.set_message(text);
            }
            None if text != self.last => {
                output::progress(&text);
                self.last = text;
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.in_place {
            bar.finish_and_clear();
        }
    }
}

/// The number of all targets is known at the end only.
fn figures(broadcast: &BroadcastBody) -> String {
    let BroadcastBody { total_targets, enqueued_count, failed_count, .. } = broadcast;
    format!("{total_targets} targets so far, {enqueued_count} enqueued, {failed_count} failed")
}

fn row(broadcast: BroadcastBody) -> Vec<String> {
    vec![
        broadcast.broadcast_id,
        broadcast.title,
        broadcast.status,
        broadcast.total_targets.to_string(),
        broadcast.enqueued_count.to_string(),
        broadcast.failed_count.to_string(),
        output::time(broadcast.created_at),
    ]
}

fn show(broadcast: BroadcastBody) {
    output::fields([
        ("id", Some(broadcast.broadcast_id)),
        ("company", Some(broadcast.company_id)),
        ("title", Some(broadcast.title)),
        ("status", Some(broadcast.status)),
        ("targets", Some(broadcast.total_targets.to_string())),
        ("enqueued", Some(broadcast.enqueued_count.to_string())),
        ("failed", Some(broadcast.failed_count.to_string())),
        ("requested by", Some(broadcast.requested_by)),
        ("createdAt", Some(output::time(broadcast.created_at))),
        ("completedAt", broadcast.completed_at.map(output::time)),
    ]);
}
