//! `chat`: a message to an agent, and its reply.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use crate::api::{Api, segment};
use crate::output;

/// Between two looks at the message.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// A message to an agent.
#[derive(Debug, Args)]
pub struct Chat {
    /// The agent
    agent: String,
    /// What to say
    text: String,
    /// The conversation; one of your own with this agent by default
    #[arg(long)]
    conversation: Option<String>,
    /// Longest wait for the reply, in seconds
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

impl Chat {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        let user = std::env::var("USER").unwrap_or_else(|_| "me".to_owned());
        let conversation = self.conversation.unwrap_or_else(|| format!("cli:{}:{user}", self.agent));
        let body = json!({
            "conversationId": conversation,
            "agentKey": self.agent,
            "payload": {"provider": "cli", "providerUserId": user, "messageText": self.text},
        });
        let accepted = api.post("/v1/messages", &body).await?;
        let id = accepted["messageId"].as_str().unwrap_or_default().to_owned();
        let wait = Duration::from_secs(self.timeout);
        let Ok(message) = tokio::time::timeout(wait, ended(api, &id)).await else {
            bail!("no reply within {} s; `queue show {id}` tells where the message stands", self.timeout);
        };
        let message = message?;
        if api.json {
            output::json(&message);
        }
        match message["status"].as_str() {
            Some("done") => {
                if !api.json {
                    output::line(message["reply"].as_str().unwrap_or_default());
                }
                Ok(())
            }
            status => bail!(
                "message {id} ended as {}: {}",
                status.unwrap_or("?"),
                message["lastError"].as_str().unwrap_or("without a reason")
            ),
        }
    }
}

async fn ended(api: &Api, id: &str) -> anyhow::Result<Value> {
    let path = format!("/v1/messages/{}", segment(id));
    loop {
        let message = api.get(&path).await?;
        if !matches!(message["status"].as_str(), Some("queued" | "processing")) {
            return Ok(message);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
