//! The hydration bundle: everything a worker needs for one message, in one answer.

use af_domain::agent::AgentProfile;
use af_domain::context::{ContextBudget, MAX_HISTORY_ANSWER_BYTES};
use af_domain::conversation::{Conversation, Lease};
use af_domain::ids::{AgentKey, ConversationKey, HistoryCursor, SecretRef};
use af_domain::message::{HistoryEntry, Message, Payload, PendingToolCall};
use af_domain::policy::Policies;
use af_store::StoreError;
use af_store::conversation::{History, HistoryRange};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::agents::bridge::{self, BridgeRuntime, Values};
use crate::agents::profiles;
use crate::documents::{HydratedWorkspace, WorkspaceWanted, agent_head, hydrate};
use crate::{App, Result};

/// A hydration bundle. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The conversation's history, oldest first, cut to the hydration policy.
    pub context_history: Vec<HistoryEntry>,
    /// Whether these are only the entries since the cursor of the request. The bundle contains the whole context
    /// instead when the cursor belongs to another conversation, when there are more new entries than the policy
    /// allows, or when a retry has replaced entries of its failed attempt before the cursor.
    pub is_delta: bool,
    /// Tool calls that the agent made and that have not been answered.
    pub pending_tool_calls: Vec<PendingToolCall>,
    /// Changes when history, tool calls or the agent's version change.
    pub context_fingerprint: String,
    /// The end of the history. As `since` of a request, it limits the bundle to later entries.
    pub cursor: Option<HistoryCursor>,
    /// The token of the agent's bot.
    pub telegram_bot_token: Option<SecretString>,
    /// What the agent's skills need to reach the tools of its app; `None` unless its bridge is enabled.
    pub bridge: Option<BridgeRuntime>,
    /// The documents of the agent and the conversation; `None` for a worker that wants none.
    pub workspace: Option<HydratedWorkspace>,
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

/// The part of a conversation's history that a bundle holds.
#[derive(Debug, Default)]
pub(crate) struct Context {
    history: History,
    since: Option<HistoryCursor>,
    workspace: Option<HydratedWorkspace>,
}

impl Context {
    /// How many entries a bundle would hold.
    pub(crate) const fn entries(&self) -> u64 {
        self.history.newest_first.len() as u64
    }
}

/// Reads the history and the workspace for a bundle of a conversation with an agent.
pub(crate) async fn context(
    app: &App,
    (agent, key): (&AgentKey, &ConversationKey),
    since: Option<&HistoryCursor>,
    wanted: &WorkspaceWanted,
    policies: &Policies,
) -> Result<Context> {
    let (context, agent_head) =
        tokio::join!(recent_history(app, key, since, policies), agent_head(app, agent, wanted));
    let mut context = context?;
    if let Some(agent_head) = agent_head? {
        let conversation = (key, &context.history.documents);
        let workspace = hydrate(app, (agent, &agent_head), conversation, wanted, &policies.hydration);
        context.workspace = Some(Box::pin(workspace).await?);
    }
    Ok(context)
}

/// Reads the entries since the cursor, or the newest entries within the policy.
pub(crate) async fn recent_history(
    app: &App,
    key: &ConversationKey,
    since: Option<&HistoryCursor>,
    policies: &Policies,
) -> Result<Context, StoreError> {
    let hydration = &policies.hydration;
    let budget = ContextBudget::new(
        hydration.max_context_messages,
        hydration.max_context_tokens,
        MAX_HISTORY_ANSWER_BYTES,
    );
    let mut since = since.filter(|s| &s.conversation == key);
    // At most twice: without a cursor there is nothing before it to replace.
    loop {
        let history = app.store.history(key, HistoryRange { since, before: None }, budget.clone()).await?;
        if !history.replaces_older {
            let since = since.filter(|_| history.older.is_none()).cloned();
            return Ok(Context { history, since, workspace: None });
        }
        since = None;
    }
}

/// Makes a bundle out of what was read with the claim. A message that failed before may have failed by a secret that was
/// replaced since: its secrets are read anew.
pub(crate) async fn bundle(app: &App, message: &Message, context: Context) -> Result<Bundle> {
    let profile = profiles::known(app, &message.agent).await?;
    let secrets = match &profile {
        Some(profile) => {
            let names = secrets_of(profile);
            if message.last_error.is_some() {
                names.iter().for_each(|name| app.secrets.forget(name));
            }
            app.secrets.get_many(&names, app.now()).await?
        }
        None => Values::new(),
    };
    let Context { mut history, since, workspace } = context;
    history.newest_first.reverse();
    let is_delta = since.is_some();
    let cursor = history.cursor.or(since);
    Ok(Bundle {
        context_fingerprint: fingerprint(profile.as_ref(), cursor.as_ref(), &history.pending_tool_calls),
        context_history: history.newest_first,
        is_delta,
        pending_tool_calls: history.pending_tool_calls,
        cursor,
        telegram_bot_token: profile
            .as_ref()
            .and_then(|p| bot_tokens(p).find_map(|t| secrets.get(t).cloned())),
        bridge: profile.as_ref().and_then(|p| bridge::runtime(p, &secrets)),
        workspace,
    })
}

/// The secrets that a bundle may need, to be read at once.
fn secrets_of(profile: &AgentProfile) -> Vec<SecretRef> {
    bot_tokens(profile).cloned().chain(bridge::refs(profile)).collect()
}

/// The `telegram.botToken` secrets that the profile names. The first that has a value wins; there is no global fallback.
fn bot_tokens(profile: &AgentProfile) -> impl Iterator<Item = &SecretRef> {
    let is_token = |name: &str| name == "telegram.botToken" || name.starts_with("telegram.botToken.");
    profile.secrets_ref.iter().filter(move |name| is_token(name.as_str()))
}

fn fingerprint(
    profile: Option<&AgentProfile>,
    cursor: Option<&HistoryCursor>,
    calls: &[PendingToolCall],
) -> String {
    let mut hash = Sha256::new();
    let cursor = cursor.map(ToString::to_string).unwrap_or_default();
    for part in [profile.map_or("", |p| &p.version), &cursor] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    for call in calls {
        hash.update(format!("{}|{}|{}\n", call.call_id, call.tool_name, call.status).as_bytes());
    }
    let digest = hash.finalize();
    digest[..16].iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use af_domain::context::answer_bytes;

    #[test]
    fn bytes_of_an_answer_are_counted_as_json_inside_of_json_takes_them() {
        let every_ascii: String = (0..=127_u8).map(char::from).collect();
        for text in ["hello", "line\nbreak \"quoted\" C:\\", "ünï 🦀", &every_ascii] {
            let inner = serde_json::to_string(text).unwrap();
            let outer = serde_json::to_string(&inner).unwrap();
            let quotes = serde_json::to_string(&serde_json::to_string("").unwrap()).unwrap();
            assert_eq!(answer_bytes(text), (outer.len() - quotes.len()) as u64, "{text:?}");
        }
    }
}
