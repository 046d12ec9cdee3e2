//! `doctor`: what a deployment lacks, each with the command that mends it.

use af_api::agents::AgentBody;
use af_api::onboarding::AgentReadiness;
use af_api::pages::Page;
use af_api::provider::Readiness;
use af_api::queue::QueueStats;
use af_api::secrets::RequiredSecrets;
use af_api::workers::WorkersAnswer;
use anyhow::bail;
use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::api::{Answer, Api, ApiError, segment};
use crate::output;

/// The agents that are checked: one page. Each costs one call or two.
const MAX_AGENTS: usize = 50;
/// A provider config to begin with.
const PROVIDER: &str = r#"echo '{"kind": "fly", "appName": "my-workers", "image": "registry.fly.io/my-workers:1", "region": "fra"}' | agent-factory config provider set"#;

/// A check of the deployment.
#[derive(Debug, Args)]
pub struct Doctor {}

/// Something that is missing or wrong.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub problem: String,
    /// The command that mends it, or that shows more.
    pub fix: String,
}

/// What a check has found.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is missing or wrong; the first one first.
    pub findings: Vec<Finding>,
    /// An agent that can answer.
    agent: Option<String>,
}

impl Doctor {
    /// Prints what is missing. Fails if anything is, so that a script notices it.
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        let Checked { findings, agent } = check(api).await?;
        let next = format!("agent-factory chat {} \"hello\"", agent.unwrap_or_default());
        if api.json {
            output::json(&json!({"findings": findings, "next": findings.is_empty().then_some(next)}));
        } else if findings.is_empty() {
            output::line("nothing is missing; talk to an agent with:");
            output::line(&format!("    {next}"));
        } else {
            for Finding { problem, fix } in &findings {
                output::line(&format!("{problem}\n    {fix}"));
            }
        }
        match findings.len() {
            0 => Ok(()),
            1 => bail!("1 problem is found"),
            count => bail!("{count} problems are found"),
        }
    }
}

/// Checks the provider, the agents with their secrets and webhooks, the pool and the queue.
pub async fn check(api: &Api) -> anyhow::Result<Checked> {
    let mut checked = Checked::default();
    let provider = api.get::<Readiness>("/v1/provider").await?.body;
    checked.findings.extend(provider.missing.iter().map(|text| of_provider(text)));
    agents(api, &mut checked).await?;
    // Without a provider, the reconcile reports the same once more.
    if provider.ready {
        let last = api.get::<WorkersAnswer>("/v1/workers?limit=1").await?.body.last_reconcile;
        let errors = last.map(|last| last.errors).unwrap_or_default();
        checked.findings.extend(errors.iter().map(|error| {
            finding(format!("the last reconcile reported: {error}"), "agent-factory workers reconcile")
        }));
    }
    let dead = api.get::<QueueStats>("/v1/queue/stats").await?.body.dead_letter;
    if dead > 0 {
        let problem = format!("{dead} messages are dead letters");
        checked.findings.push(finding(problem, "agent-factory queue list --status dead_letter"));
    }
    Ok(checked)
}

fn finding(problem: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { problem: problem.into(), fix: fix.into() }
}

/// What the provider lacks. The deployment names a missing secret between quotes.
fn of_provider(text: &str) -> Finding {
    let secret =
        text.split_once(" active '").and_then(|(_, rest)| rest.split_once('\'')).map(|(name, _)| name);
    let fix = match secret {
        Some(name) => format!("agent-factory secrets set {name}"),
        None if text.contains("providerConfig") => PROVIDER.to_owned(),
        None => "agent-factory provider status".to_owned(),
    };
    finding(format!("workers cannot start: {text}"), fix)
}

async fn agents(api: &Api, checked: &mut Checked) -> anyhow::Result<()> {
    let page: Answer<Page<AgentBody>> = api.get(&format!("/v1/agents?limit={MAX_AGENTS}")).await?;
    let Page { items, next_cursor } = page.body;
    if items.is_empty() {
        let fix = "agent-factory agents set support --display-name Support";
        checked.findings.push(finding("there is no agent", fix));
        return Ok(());
    }
    checked.agent = items.iter().find(|agent| agent.enabled).map(|agent| agent.agent_key.clone());
    if checked.agent.is_none() {
        let fix = format!("agent-factory agents set {} --enabled", items[0].agent_key);
        checked.findings.push(finding("no agent is enabled", fix));
    }
    for agent in items.iter().filter(|agent| agent.enabled) {
        of_agent(api, agent, &mut checked.findings).await?;
    }
    if next_cursor.is_some() {
        output::warning(&format!("only the first {MAX_AGENTS} agents are checked"));
    }
    Ok(())
}

async fn of_agent(api: &Api, agent: &AgentBody, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let key = &agent.agent_key;
    let path = format!("/v1/agents/{}/required-secrets", segment(key));
    let missing = api.get::<RequiredSecrets>(&path).await?.body.missing;
    findings.extend(missing.into_iter().map(|name| of_secret(key, &name)));
    if agent.bot.is_none() {
        return Ok(());
    }
    // The answer is the same for every user.
    let path = format!("/v1/users/doctor/agents/{}/readiness", segment(key));
    match api.get::<AgentReadiness>(&path).await {
        Ok(answer) if !answer.body.webhook_ready => {
            let problem = format!("Telegram sends no updates of the bot of agent {key}");
            findings.push(finding(problem, format!("agent-factory bots webhook {key}")));
        }
        // A key with the scope `read` does not open routes of users.
        Ok(_) | Err(ApiError::Refused { status: 403, .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn of_secret(agent: &str, name: &str) -> Finding {
    let problem = format!("agent {agent} names the secret {name}, which has no value");
    let fix = if name == format!("telegram.botToken.{agent}") {
        format!("agent-factory bots add {agent}")
    } else {
        format!("agent-factory secrets set {name}")
    };
    finding(problem, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_part_of_a_provider_has_the_command_that_mends_it() {
        let fix = |text| of_provider(text).fix;
        assert_eq!(
            fix("Missing Fly API token. Import an active 'fly.apiToken' secret."),
            "agent-factory secrets set fly.apiToken"
        );
        assert_eq!(
            fix("Missing public URL. Set it at deploy time or import an active 'factory.url' secret."),
            "agent-factory secrets set factory.url"
        );
        assert_eq!(fix("Missing providerConfig.kind."), PROVIDER);
        assert_eq!(fix("the app cannot be read"), "agent-factory provider status");
    }

    #[test]
    fn the_token_of_a_bot_is_added_with_its_bot() {
        assert_eq!(of_secret("a", "telegram.botToken.a").fix, "agent-factory bots add a");
        assert_eq!(
            of_secret("a", "telegram.botToken.b").fix,
            "agent-factory secrets set telegram.botToken.b"
        );
    }
}
