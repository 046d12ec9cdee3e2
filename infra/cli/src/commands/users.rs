//! `users`: the agents of a user and their figures.

use af_api::pages::Page;
use af_api::user_agents::{UsageStats, UserAgentBody, UserAgentsOverview, UserAgentsQuery};
use af_domain::ids::{AgentKey, ConsumerUserId};
use clap::{Args, Subcommand};

use crate::api::{Answer, Api, segment};
use crate::output;

/// Users.
#[derive(Debug, Subcommand)]
pub enum Users {
    /// List the agents of a user, by key
    ///
    /// Example: agent-factory users agents ann --include-disabled
    #[command(verbatim_doc_comment)]
    Agents(Listing),
    /// Show the agents of a user and the active one
    ///
    /// Example: agent-factory users overview ann
    #[command(verbatim_doc_comment)]
    Overview(Listing),
    /// Show figures of a user's push jobs, history and queue: for one agent, or for each agent of the user
    ///
    /// Example: agent-factory users usage ann support
    #[command(verbatim_doc_comment)]
    Usage {
        /// The user
        user: ConsumerUserId,
        /// The agent; every agent of the user by default
        agent: Option<AgentKey>,
    },
}

/// A page of the agents of a user
#[derive(Debug, Args)]
pub struct Listing {
    /// The user
    user: ConsumerUserId,
    /// Also list agents whose binding has ended or that accept no messages
    #[arg(long)]
    include_disabled: bool,
    /// Where the previous page ended
    #[arg(long)]
    cursor: Option<String>,
}

const HEADINGS: [&str; 6] = ["agent", "name", "status", "bot", "binding", "pairing"];

impl Users {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Users::Agents(listing) => {
                let (path, query) = listing.request("agents");
                let page: Answer<Page<UserAgentBody>> = api.find(&path, &query).await?;
                page.print(|page| output::page(&HEADINGS, page, row));
                Ok(())
            }
            Users::Overview(listing) => {
                let (path, query) = listing.request("overview");
                let shown: Answer<UserAgentsOverview> = api.find(&path, &query).await?;
                shown.print(overview);
                Ok(())
            }
            Users::Usage { user, agent: Some(agent) } => {
                let shown: Answer<UsageStats> = api.get(&usage_path(&user, agent.as_str())).await?;
                shown.print(usage);
                Ok(())
            }
            Users::Usage { user, agent: None } => usage_of_all(api, &user).await,
        }
    }
}

impl Listing {
    fn request(self, what: &str) -> (String, UserAgentsQuery) {
        let Listing { user, include_disabled, cursor } = self;
        let query = UserAgentsQuery { include_disabled, cursor, ..UserAgentsQuery::default() };
        (format!("/v1/users/{}/{what}", segment(user.as_str())), query)
    }
}

fn usage_path(user: &ConsumerUserId, agent: &str) -> String {
    format!("/v1/users/{}/agents/{}/usage", segment(user.as_str()), segment(agent))
}

/// Shows the figures of the first page of the agents of a user.
async fn usage_of_all(api: &Api, user: &ConsumerUserId) -> anyhow::Result<()> {
    let listing = Listing { user: user.clone(), include_disabled: true, cursor: None };
    let (path, query) = listing.request("agents");
    let page: Answer<Page<UserAgentBody>> = api.find(&path, &query).await?;
    let (mut rows, mut json) = (Vec::new(), serde_json::Map::new());
    for agent in page.body.items {
        let shown: Answer<UsageStats> = api.get(&usage_path(user, &agent.agent_key)).await?;
        json.insert(agent.agent_key.clone(), shown.json);
        let UsageStats { context_messages, queued_messages, failed_messages, active_push_jobs, .. } =
            shown.body;
        let figures = [context_messages, queued_messages, failed_messages, active_push_jobs];
        let figures = figures.iter().map(ToString::to_string);
        rows.push(std::iter::once(agent.agent_key).chain(figures).collect());
    }
    if api.json {
        output::json(&json.into());
    } else {
        output::table(&["agent", "history", "queued", "failed", "push jobs"], rows);
    }
    Ok(())
}

fn row(agent: UserAgentBody) -> Vec<String> {
    vec![
        agent.agent_key,
        output::or_dash(agent.display_name),
        agent.status.as_str().to_owned(),
        output::or_dash(agent.telegram_username),
        output::or_dash(agent.binding_status.map(|status| status.as_str())),
        output::or_dash(agent.pairing_status.map(|status| status.as_str())),
    ]
}

fn overview(shown: UserAgentsOverview) {
    let can_create = if shown.can_create_new_agent { "yes" } else { "no" };
    output::fields([
        ("active agent", Some(output::or_dash(shown.active_agent_key))),
        ("can create an agent", Some(can_create.to_owned())),
    ]);
    output::page(&HEADINGS, Page::new(shown.agents, shown.next_cursor), row);
}

fn usage(shown: UsageStats) {
    output::fields([
        ("history entries", Some(shown.context_messages.to_string())),
        ("queued messages", Some(shown.queued_messages.to_string())),
        ("failed messages", Some(shown.failed_messages.to_string())),
        ("push jobs", Some(shown.total_push_jobs.to_string())),
        ("active push jobs", Some(shown.active_push_jobs.to_string())),
        ("dispatches", Some(shown.total_dispatches.to_string())),
        ("latest dispatch at", shown.latest_dispatch_at.map(output::time)),
    ]);
}
