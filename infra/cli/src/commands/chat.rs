//! `chat`: a message to an agent, and its reply.

use std::collections::BTreeMap;
use std::time::Duration;

use af_api::id::Id;
use af_api::messages::{EnqueueAnswer, EnqueueRequest, MessageWithAttempts, PayloadRequest};
use af_domain::ids::{AgentKey, ConversationId};
use anyhow::bail;
use clap::Args;

use crate::api::{Answer, Api, segment};
use crate::output;

/// The time between two requests for the state of the message.
const LOOK_EVERY: Duration = Duration::from_millis(150);

/// A message to an agent.
#[derive(Debug, Args)]
pub struct Chat {
    /// The agent
    agent: AgentKey,
    /// What to say
    text: String,
    /// The conversation; one of your own with this agent by default
    #[arg(long)]
    conversation: Option<ConversationId>,
    /// Longest wait for the reply, in seconds
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

impl Chat {
    pub async fn run(self, api: &Api) -> anyhow::Result<()> {
        let user = std::env::var("USER").unwrap_or_else(|_| "me".to_owned());
        let conversation = match self.conversation {
            Some(conversation) => conversation,
            None => ConversationId::parse(format!("cli:{}:{user}", self.agent))?,
        };
        let request = EnqueueRequest {
            conversation_id: Id(conversation),
            agent_key: Id(self.agent),
            payload: PayloadRequest {
                provider: "cli".to_owned(),
                provider_user_id: user,
                message_text: self.text,
                external_message_id: None,
                raw_update_json: None,
                metadata: BTreeMap::new(),
            },
            priority: None,
            scheduled_for: None,
            max_attempts: None,
        };
        let accepted: Answer<EnqueueAnswer> = api.post("/v1/messages", &request).await?;
        let id = accepted.body.message_id;
        let wait = Duration::from_secs(self.timeout);
        let Ok(message) = tokio::time::timeout(wait, ended(api, &id)).await else {
            bail!("no reply within {} s; `queue show {id}` shows the state of the message", self.timeout);
        };
        let Answer { json, body, .. } = message?;
        let message = body.message;
        if api.json {
            output::json(&json);
        }
        if message.status != "done" {
            let reason = message.last_error.unwrap_or_else(|| "without a reason".to_owned());
            bail!("message {id} ended as {}: {reason}", message.status);
        }
        if !api.json {
            output::line(&message.reply.unwrap_or_default());
        }
        Ok(())
    }
}

async fn ended(api: &Api, id: &str) -> anyhow::Result<Answer<MessageWithAttempts>> {
    let path = format!("/v1/messages/{}", segment(id));
    loop {
        let message: Answer<MessageWithAttempts> = api.get(&path).await?;
        if !matches!(message.body.message.status.as_str(), "queued" | "processing") {
            return Ok(message);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
