//! `bindings`: which agent and which Telegram account a user has.

use af_api::bindings::{BindingBody, BindingQuery, BindingRequest, Source, TelegramRequest};
use af_api::id::Id;
use af_api::pages::{Page, PageQuery};
use af_domain::ids::{AgentKey, BotIdentity, ConsumerUserId, TelegramUserId};
use clap::{Args, Subcommand};

use crate::api::{Answer, Api, segment};
use crate::output;

/// Bindings.
#[derive(Debug, Subcommand)]
pub enum Bindings {
    /// List the bindings of a user: the active one, then those that were revoked or replaced
    ///
    /// Example: agent-factory bindings list ann
    #[command(verbatim_doc_comment)]
    List {
        /// The user
        user: ConsumerUserId,
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show the active binding of a user, or of a Telegram user or chat of a bot
    ///
    /// Example: agent-factory bindings get --bot 7000000001 --telegram-user 42
    #[command(verbatim_doc_comment)]
    Get {
        /// The user
        #[arg(required_unless_present = "bot", conflicts_with = "bot")]
        user: Option<ConsumerUserId>,
        #[command(flatten)]
        telegram: Telegram,
    },
    /// Bind a user to an agent; the binding before ends
    ///
    /// Example: agent-factory bindings bind ann support --bot 7000000001 --telegram-user 42 --chat 42
    #[command(verbatim_doc_comment)]
    Bind {
        /// The user
        user: ConsumerUserId,
        /// The agent's key
        agent: AgentKey,
        #[command(flatten)]
        telegram: Telegram,
    },
    /// Revoke the active binding of a user; the conversation stays
    ///
    /// Example: agent-factory bindings revoke ann
    #[command(verbatim_doc_comment)]
    Revoke {
        /// The user
        user: ConsumerUserId,
    },
}

/// A person on Telegram
#[derive(Debug, Args)]
pub struct Telegram {
    /// The numeric id of the bot
    #[arg(long)]
    bot: Option<BotIdentity>,
    /// The Telegram user id of the person
    #[arg(long, requires = "bot")]
    telegram_user: Option<TelegramUserId>,
    /// The private chat of the person with the bot
    #[arg(long, requires = "bot")]
    chat: Option<TelegramUserId>,
}

impl Bindings {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Bindings::List { user, cursor } => list(api, &user, cursor).await,
            Bindings::Get { user, telegram } => get(api, user, telegram).await,
            Bindings::Bind { user, agent, telegram } => {
                let request = BindingRequest {
                    agent_key: Id(agent),
                    telegram: telegram.request(),
                    source: Source::Manual,
                };
                let bound: Answer<BindingBody> = api.put(&path(&user), &request).await?;
                bound.print(show);
                Ok(())
            }
            Bindings::Revoke { user } => {
                api.delete(&path(&user)).await?;
                output::line(&format!("the binding of user {user} is revoked"));
                Ok(())
            }
        }
    }
}

impl Telegram {
    fn request(self) -> Option<TelegramRequest> {
        let Telegram { bot, telegram_user, chat } = self;
        bot.map(|bot| TelegramRequest {
            bot_identity: Id(bot),
            user_id: telegram_user.map(Id),
            chat_id: chat.map(Id),
        })
    }
}

async fn get(api: &Api, user: Option<ConsumerUserId>, telegram: Telegram) -> anyhow::Result<()> {
    let shown: Answer<BindingBody> = match (user, telegram.request()) {
        (Some(user), _) => api.get(&path(&user)).await?,
        (None, Some(TelegramRequest { bot_identity, user_id, chat_id })) => {
            let query = BindingQuery { bot_identity, telegram_user_id: user_id, telegram_chat_id: chat_id };
            api.find("/v1/bindings", &query).await?
        }
        (None, None) => anyhow::bail!("give a user, or --bot with --telegram-user or --chat"),
    };
    shown.print(show);
    Ok(())
}

async fn list(api: &Api, user: &ConsumerUserId, cursor: Option<String>) -> anyhow::Result<()> {
    let query = PageQuery { cursor, ..PageQuery::default() };
    let page: Answer<Page<BindingBody>> = api.find(&format!("{}s", path(user)), &query).await?;
    let headings = ["agent", "status", "source", "bot", "telegram user", "boundAt", "revokedAt"];
    page.print(|page| output::page(&headings, page, row));
    Ok(())
}

fn row(binding: BindingBody) -> Vec<String> {
    vec![
        binding.agent_key,
        binding.status,
        binding.source,
        output::or_dash(binding.bot_identity),
        output::or_dash(binding.telegram_user_id),
        output::time(binding.bound_at),
        output::or_dash(binding.revoked_at.map(output::time)),
    ]
}

fn show(binding: BindingBody) {
    output::fields([
        ("user", Some(binding.consumer_user_id)),
        ("agent", Some(binding.agent_key)),
        ("conversation", Some(binding.conversation_id)),
        ("status", Some(binding.status)),
        ("source", Some(binding.source)),
        ("bot", binding.bot_identity),
        ("telegram user", binding.telegram_user_id),
        ("telegram chat", binding.telegram_chat_id),
        ("boundAt", Some(output::time(binding.bound_at))),
    ]);
}

fn path(user: &ConsumerUserId) -> String {
    format!("/v1/users/{}/binding", segment(user.as_str()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        bindings: Bindings,
    }

    #[test]
    fn a_binding_is_found_by_its_user_or_by_a_bot_with_a_telegram_user_or_chat() {
        let accepted = |args: &str| {
            let words = ["bindings"].into_iter().chain(args.split_whitespace());
            Line::try_parse_from(words).is_ok()
        };
        for args in ["get ann", "get --bot 7 --telegram-user 5", "get --bot 7 --chat 5"] {
            assert!(accepted(args), "{args}");
        }
        for args in
            ["get", "get ann --bot 7", "get --telegram-user 5", "bind ann support --chat 5", "get --bot 007"]
        {
            assert!(!accepted(args), "{args}");
        }
    }
}
