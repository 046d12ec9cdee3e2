//! `bots`: the Telegram bots of agents. A token comes from a file or standard input, never from the command line.

use std::path::PathBuf;

use af_api::agents::{AgentBody, BotBody, TelegramTokenRequest};
use af_api::id::Id;
use af_api::managed_bots::{ManagedBotBody, ManagedBotRequest};
use af_api::pages::{Page, PageQuery};
use af_api::secret_text::SecretText;
use af_api::telegram::{WebhookAnswer, WebhookRequest};
use af_domain::ids::{AgentKey, ConsumerUserId};
use clap::Subcommand;
use serde_json::json;

use crate::api::{Answer, Api, segment};
use crate::{input, output};

/// Bots.
#[derive(Debug, Subcommand)]
pub enum Bots {
    /// Give an agent a bot; the bot's token is read from standard input or a file
    ///
    /// Example: agent-factory bots add support --file token.txt
    #[command(verbatim_doc_comment)]
    Add {
        /// The agent's key
        agent: AgentKey,
        /// File with the token that BotFather has issued
        #[arg(long)]
        file: Option<PathBuf>,
        /// Replace the bot that the agent has now
        #[arg(long)]
        replace: bool,
    },
    /// Point the webhook of an agent's bot at the deployment
    ///
    /// Example: agent-factory bots webhook support
    #[command(verbatim_doc_comment)]
    Webhook {
        /// The agent's key
        agent: AgentKey,
    },
    /// Make a link with which a person creates a bot for an agent; the person is bound to the user, and no person sees the
    /// bot's token
    ///
    /// Example: agent-factory bots managed support --user ann
    #[command(verbatim_doc_comment)]
    Managed {
        /// The agent's key
        agent: AgentKey,
        /// The user that the person is bound to
        #[arg(long)]
        user: ConsumerUserId,
        /// The display name that the link suggests; by default that of the agent
        #[arg(long)]
        name: Option<String>,
        /// How long the link is valid, 1m to 24h
        #[arg(long, value_parser = input::length, default_value = "15m")]
        ttl: u64,
        /// Replace the bot that the agent has now
        #[arg(long)]
        replace: bool,
        /// Show the newest link and the state of its bot, and make no link
        #[arg(long, conflicts_with_all = ["name", "replace", "ttl"])]
        status: bool,
    },
    /// Replace the token of an agent's managed bot; the old token ends at once
    ///
    /// Example: agent-factory bots rotate support
    #[command(verbatim_doc_comment)]
    Rotate {
        /// The agent's key
        agent: AgentKey,
    },
    /// List the agents of a page that have a bot
    ///
    /// Example: agent-factory bots list
    #[command(verbatim_doc_comment)]
    List {
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
}

impl Bots {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Bots::Add { agent, file, replace } => {
                let token = SecretText(input::read_value(file, "the token")?.into());
                let request = TelegramTokenRequest { plaintext_value: token, replace };
                let path = format!("/v1/agents/{}/telegram-token", segment(agent.as_str()));
                let added: Answer<BotBody> = api.put(&path, &request).await?;
                added.print(|bot| {
                    output::line(&format!(
                        "agent {agent} has the bot @{} ({})",
                        bot.username, bot.bot_identity
                    ));
                });
                Ok(())
            }
            Bots::Webhook { agent } => {
                let request = WebhookRequest { agent_key: Id(agent) };
                let set: Answer<WebhookAnswer> = api.post("/v1/telegram/webhooks", &request).await?;
                set.print(webhook);
                Ok(())
            }
            Bots::Managed { agent, user, name, ttl, replace, status } => {
                let (user, agent) = (segment(user.as_str()), segment(agent.as_str()));
                let path = format!("/v1/users/{user}/agents/{agent}/managed-bot");
                let request = ManagedBotRequest { name, ttl_ms: Some(ttl), replace };
                let link: Answer<ManagedBotBody> =
                    if status { api.get(&path).await? } else { api.post(&path, &request).await? };
                link.print(managed);
                Ok(())
            }
            Bots::Rotate { agent } => {
                let path = format!("/v1/agents/{}/managed-bot/rotate", segment(agent.as_str()));
                let rotated: Answer<BotBody> = api.post(&path, &json!({})).await?;
                rotated.print(|bot| output::line(&format!("the bot @{} has a new token", bot.username)));
                Ok(())
            }
            Bots::List { cursor } => list(api, cursor).await,
        }
    }
}

fn webhook(answer: WebhookAnswer) {
    output::fields([
        ("ready", Some(answer.is_ready.to_string())),
        ("bot", Some(answer.bot_identity)),
        ("url", Some(answer.current_url)),
        ("waiting updates", Some(answer.pending_update_count.to_string())),
        ("last error", answer.last_error_message),
    ]);
}

fn managed(link: ManagedBotBody) {
    let bot = link.bot_username.map(|name| format!("@{name}"));
    output::fields([
        ("status", Some(link.status)),
        ("link", link.link),
        ("user", Some(link.consumer_user_id)),
        ("agent", Some(link.agent_key)),
        ("bot", bot),
        ("identity", link.bot_identity),
        ("telegram user", link.telegram_user_id),
        ("reason", link.reason),
        ("expiresAt", Some(output::time(link.expires_at))),
    ]);
}

async fn list(api: &Api, cursor: Option<String>) -> anyhow::Result<()> {
    let query = PageQuery { cursor, ..PageQuery::default() };
    let page: Answer<Page<AgentBody>> = api.find("/v1/agents", &query).await?;
    page.print(|mut page| {
        page.items.retain(|agent| agent.bot.is_some());
        output::page(&["agent", "bot", "identity", "enabled"], page, row);
    });
    Ok(())
}

fn row(agent: AgentBody) -> Vec<String> {
    let (username, identity) = agent.bot.map(|bot| (format!("@{}", bot.username), bot.bot_identity)).unzip();
    vec![agent.agent_key, output::or_dash(username), output::or_dash(identity), agent.enabled.to_string()]
}
