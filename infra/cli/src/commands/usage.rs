//! `usage`: shows what each day has used.

use af_api::pages::{Limit, Page};
use af_api::usage::{LedgerBody, UsageQuery};
use clap::Args;

use crate::api::{Answer, Api};
use crate::output;

/// What to show.
#[derive(Debug, Args)]
pub struct Usage {
    /// deployment, agent or user
    #[arg(long, default_value = "deployment")]
    scope: String,
    /// The agentKey or the consumerUserId of the scope
    #[arg(long)]
    id: Option<String>,
    /// day, agent, user or model
    #[arg(long, default_value = "day")]
    by: String,
    /// The first day, as YYYY-MM-DD; by default 29 days ago
    #[arg(long)]
    from: Option<String>,
    /// The last day, as YYYY-MM-DD; by default today, in UTC
    #[arg(long)]
    to: Option<String>,
    /// Most rows on the page, 1 to 200
    #[arg(long, default_value_t)]
    limit: Limit,
    /// Where the previous page ended
    #[arg(long)]
    cursor: Option<String>,
}

impl Usage {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        let Self { scope, id, by, from, to, limit, cursor } = self;
        let query = UsageQuery { scope: Some(scope), id, by: Some(by), from, to, limit, cursor };
        let listed: Answer<Page<LedgerBody>> = api.find("/v1/usage", &query).await?;
        listed.print(list);
        Ok(())
    }
}

fn list(page: Page<LedgerBody>) {
    let headings = [
        "day",
        "agent",
        "user",
        "model",
        "messages",
        "failed",
        "attempts",
        "tokens in",
        "tokens out",
        "costMicros",
    ];
    output::page(&headings, page, row);
}

fn row(LedgerBody { day, agent_key, consumer_user_id, model, figures }: LedgerBody) -> Vec<String> {
    // A cost that leaves out some attempts is marked.
    let cost = match (figures.cost_micros, figures.unpriced_attempts) {
        (None, _) => "unknown".to_owned(),
        (Some(cost), 0) => cost.to_string(),
        (Some(cost), unpriced) => format!("{cost} and {unpriced} attempts of unknown cost"),
    };
    vec![
        day,
        output::or_dash(agent_key),
        output::or_dash(consumer_user_id),
        output::or_dash(model),
        figures.messages.to_string(),
        figures.failed.to_string(),
        figures.attempts.to_string(),
        figures.input_tokens.to_string(),
        figures.output_tokens.to_string(),
        cost,
    ]
}
