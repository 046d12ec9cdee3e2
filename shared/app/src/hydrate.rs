//! The hydration bundle: everything a worker needs for one message, in one answer.

use af_domain::agent::AgentProfile;
use af_domain::conversation::{Conversation, Lease};
use af_domain::message::{HistoryEntry, Message, Payload, PendingToolCall, within_budget};
use af_domain::policy::Policies;
use af_store::conversation::History;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::{App, AppError, agents};

/// A hydration bundle. `Debug` does not show the token.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The conversation's history, oldest first, cut to the hydration policy.
    pub context_history: Vec<HistoryEntry>,
    /// Tool calls that the agent made and that have not been answered.
    pub pending_tool_calls: Vec<PendingToolCall>,
    /// Changes when history, tool calls or the agent's version change.
    pub context_fingerprint: String,
    /// Where the history ends; sent as `since`, it brings only what came after.
    pub cursor: Option<String>,
    /// The token of the agent's bot.
    pub telegram_bot_token: Option<SecretString>,
}

/// A message handed to a worker.
#[derive(Debug, Clone)]
pub struct Job {
    /// The lease it is handed out under.
    pub lease: Lease,
    /// The conversation, as it is under that lease.
    pub conversation: Conversation,
    /// What it carries.
    pub payload: Payload,
}

/// Makes a bundle out of what was read with the claim.
pub(crate) async fn bundle(
    app: &App,
    message: &Message,
    history: History,
    since: Option<&str>,
    policies: &Policies,
) -> Result<Bundle, AppError> {
    let profile = agents::known(app, &message.agent).await?;
    let telegram_bot_token = match &profile {
        Some(profile) => bot_token(app, profile).await?,
        None => None,
    };
    let cursor = history.cursor.or_else(|| since.map(str::to_owned));
    let hydration = &policies.hydration;
    Ok(Bundle {
        context_fingerprint: fingerprint(profile.as_ref(), cursor.as_deref(), &history.pending_tool_calls),
        context_history: within_budget(
            history.newest_first,
            hydration.context_messages_max,
            hydration.context_tokens_max,
        ),
        pending_tool_calls: history.pending_tool_calls,
        cursor,
        telegram_bot_token,
    })
}

/// The first active `telegram.botToken` secret that the profile names; there is no global fallback.
async fn bot_token(app: &App, profile: &AgentProfile) -> Result<Option<SecretString>, AppError> {
    for name in &profile.secrets_ref {
        let is_token =
            name.as_str() == "telegram.botToken" || name.as_str().starts_with("telegram.botToken.");
        if is_token && let Some(token) = app.secrets.get(name, app.now()).await? {
            return Ok(Some(token));
        }
    }
    Ok(None)
}

fn fingerprint(profile: Option<&AgentProfile>, cursor: Option<&str>, calls: &[PendingToolCall]) -> String {
    let mut hash = Sha256::new();
    for part in [profile.map_or("", |p| &p.version), cursor.unwrap_or_default()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    for call in calls {
        hash.update(format!("{}|{}|{}\n", call.call_id, call.tool_name, call.status).as_bytes());
    }
    let digest = hash.finalize();
    digest[..16].iter().map(|b| format!("{b:02x}")).collect()
}
