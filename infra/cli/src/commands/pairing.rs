//! `pairing`: codes with which people connect with an agent on Telegram.

use af_api::id::Id;
use af_api::pairing::{NewPairing, PairingBody, PairingCodeRequest};
use af_domain::ids::{AgentKey, ConsumerUserId, PairingCode};
use clap::Subcommand;

use crate::api::{Answer, Api, segment};
use crate::{input, output};

/// Pairing codes.
#[derive(Debug, Subcommand)]
pub enum Pairing {
    /// Create a code and the link that sends it to the agent's bot; the code before expires
    ///
    /// Example: agent-factory pairing create ann support --ttl 1h
    #[command(verbatim_doc_comment)]
    Create {
        /// The user that the person is bound to
        user: ConsumerUserId,
        /// The agent's key
        agent: AgentKey,
        /// How long the code is valid, 1m to 24h
        #[arg(long, value_parser = input::length, default_value = "15m")]
        ttl: u64,
    },
    /// Show a code
    ///
    /// Example: agent-factory pairing status 7KQ2MBX4RWPN
    #[command(verbatim_doc_comment)]
    Status {
        /// The code
        code: PairingCode,
    },
}

impl Pairing {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        match self {
            Pairing::Create { user, agent, ttl } => {
                let request = PairingCodeRequest {
                    consumer_user_id: Id(user),
                    agent_key: Id(agent),
                    ttl_ms: Some(ttl),
                };
                let made: Answer<NewPairing> = api.post("/v1/pairing-codes", &request).await?;
                made.print(created);
                Ok(())
            }
            Pairing::Status { code } => {
                let path = format!("/v1/pairing-codes/{}", segment(code.as_str()));
                let shown: Answer<PairingBody> = api.get(&path).await?;
                shown.print(show);
                Ok(())
            }
        }
    }
}

fn created(NewPairing { pairing, deep_link }: NewPairing) {
    let minutes = pairing.expires_at.saturating_sub(pairing.created_at) / 60_000;
    output::fields([
        ("code", Some(pairing.code)),
        ("link", Some(deep_link)),
        ("valid for", Some(format!("{minutes} min"))),
    ]);
}

fn show(pairing: PairingBody) {
    output::fields([
        ("code", Some(pairing.code)),
        ("status", Some(pairing.status)),
        ("user", Some(pairing.consumer_user_id)),
        ("agent", Some(pairing.agent_key)),
        ("bot", Some(pairing.bot_identity)),
        ("createdAt", Some(output::time(pairing.created_at))),
        ("expiresAt", Some(output::time(pairing.expires_at))),
        ("usedAt", pairing.used_at.map(output::time)),
        ("telegram user", pairing.telegram_user_id),
        ("telegram chat", pairing.telegram_chat_id),
    ]);
}
