//! `broadcast`: one text to every active agent.

use af_api::broadcasts::{BroadcastBody, BroadcastRequest};
use af_api::id::Id;
use af_api::pages::{Limit, Page};
use af_api::push::CompanyQuery;
use af_domain::ids::{BroadcastId, CompanyId};
use clap::Subcommand;
use serde_json::json;

use crate::api::{Answer, Api, segment};
use crate::output;

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
    },
    /// Show a broadcast and its progress
    ///
    /// Example: agent-factory broadcast show 01K8ZD3V7Q2M4N6P8R0T2W4Y6A
    #[command(verbatim_doc_comment)]
    Show {
        /// The id
        broadcast: BroadcastId,
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
            Broadcast::Send { title, text, requested_by, company } => {
                let request = BroadcastRequest { company_id: company.map(Id), title, text, requested_by };
                let sent: Answer<BroadcastBody> = api.post("/v1/broadcasts", &request).await?;
                sent.print(show);
            }
            Broadcast::Show { broadcast } => api.get::<BroadcastBody>(&path(&broadcast)).await?.print(show),
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
    format!("/v1/broadcasts/{}", segment(broadcast.as_str()))
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
