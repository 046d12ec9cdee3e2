//! Conversions between wire types and the values of use cases.

use af_api::messages::PayloadBody;
use af_api::usage::UsageBody;
use af_api::worker::control::Control;
use af_api::worker::documents::{MemoryDocument, Workspace, WorkspaceDocument};
use af_api::worker::history::{HistoryEntry, PendingToolCall};
use af_api::worker::hydration::{Bridge, Bundle, ConversationState};
use af_api::worker::outcome::ReplyBody;
use af_api::worker::poll::Job;
use af_app::agents::bridge::BridgeRuntime;
use af_app::documents::{HydratedDocument, HydratedWorkspace, WorkspaceContent, WorkspaceWanted};
use af_app::settings::policies;
use af_app::worker::DeliveredBy;
use af_app::{App, AppError, worker};
use af_domain::document::Document;
use af_domain::ids::{DocumentPath, InvalidId, LeaseId, ModelName};
use af_domain::message::{self, ReplyFormat, Role};
use af_domain::refusal::Refusal;
use af_domain::time::{Millis, Timestamp};
use af_domain::usage::{MAX_USAGE_COUNT, Usage};
use secrecy::{ExposeSecret, SecretString};

/// The durations that a worker gets with a message.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a lease lasts from its claim or last heartbeat.
    pub lease: Millis,
    /// How long to wait between heartbeats.
    pub next_heartbeat: Millis,
}

impl Timing {
    /// The durations that the policies set.
    ///
    /// # Errors
    /// When the policies cannot be read.
    pub async fn in_force(app: &App) -> Result<Self, AppError> {
        let lease = policies::in_force(app).await?.lease;
        Ok(Self { lease: lease.lease, next_heartbeat: lease.heartbeat_interval })
    }
}

/// A worker's control state.
pub fn control(control: worker::Control) -> Control {
    Control {
        should_stop: control.should_stop,
        reasons: control.reasons.into_iter().map(str::to_owned).collect(),
        drain_by: control.drain_by.map(Timestamp::as_millis),
        switch: control.switch.is_some(),
        conversation_id: control.switch.map(|conversation| conversation.to_string()),
    }
}

/// A claimed message. `payload` is the message's payload with its links.
pub fn job(job: &worker::bundle::Job, payload: PayloadBody, timing: Timing) -> Job {
    Job {
        message_id: job.lease.entry.message.to_string(),
        conversation_id: job.conversation.id.to_string(),
        agent_key: job.conversation.agent.to_string(),
        lease_id: job.lease.id.to_string(),
        fence: job.lease.id.parts().fence.0,
        attempt: job.lease.entry.attempts,
        lease_expires_at: job.lease.expires_at.as_millis(),
        lease_ms: timing.lease.as_millis(),
        next_heartbeat_ms: timing.next_heartbeat.as_millis(),
        payload,
    }
}

/// What a worker wants of the workspace, by the fingerprint of the one that it has.
pub fn workspace_wanted(fingerprint: Option<String>) -> WorkspaceWanted {
    fingerprint.map_or(WorkspaceWanted::Everything, WorkspaceWanted::UnlessFingerprint)
}

/// A workspace. `link` makes the link of a document that has no content.
pub fn workspace(workspace: HydratedWorkspace, link: impl Fn(&DocumentPath) -> Option<String>) -> Workspace {
    let HydratedWorkspace { fingerprint, content } = workspace;
    let Some(WorkspaceContent { documents, memory_window, memory_since }) = content else {
        return Workspace { fingerprint, documents: None, memory_window: None, memory_since: None };
    };
    let sha256 = |document: &Document| document.content.as_ref().map(|c| c.sha256.to_string());
    let document = |HydratedDocument { placed, text }: HydratedDocument| WorkspaceDocument {
        sha256: sha256(&placed.document).unwrap_or_default(),
        owner: placed.document.owner.as_str().to_owned(),
        download_url: if text.is_none() { link(&placed.document.path) } else { None },
        content: text,
        path: placed.document.path.to_string(),
    };
    let memory = |HydratedDocument { placed, text }: HydratedDocument| MemoryDocument {
        sha256: sha256(&placed.document).unwrap_or_default(),
        owner: placed.document.owner.as_str().to_owned(),
        content: text.unwrap_or_default(),
        date: placed.document.path.day().unwrap_or_default().to_owned(),
        path: placed.document.path.to_string(),
    };
    Workspace {
        fingerprint,
        documents: Some(documents.into_iter().map(document).collect()),
        memory_window: Some(memory_window.into_iter().map(memory).collect()),
        memory_since: Some(memory_since),
    }
}

/// The hydration bundle of a claimed message. `payload` is the message's payload with its links, and `workspace` the bundle's
/// workspace.
pub fn bundle(
    job: &worker::bundle::Job,
    payload: PayloadBody,
    bundle: worker::bundle::Bundle,
    workspace: Option<Workspace>,
) -> Bundle {
    Bundle {
        message_id: job.lease.entry.message.to_string(),
        conversation_id: job.conversation.id.to_string(),
        agent_key: job.conversation.agent.to_string(),
        payload,
        conversation_state: conversation_state(bundle.context_history, bundle.pending_tool_calls),
        context_fingerprint: bundle.context_fingerprint,
        delta: bundle.is_delta,
        cursor: bundle.cursor.map(|c| c.to_string()),
        bridge_runtime_config: bundle.bridge.map(bridge),
        workspace,
    }
}

/// The conversation so far.
pub fn conversation_state(
    history: Vec<message::HistoryEntry>,
    pending_tool_calls: Vec<message::PendingToolCall>,
) -> ConversationState {
    ConversationState {
        context_history: history.into_iter().map(HistoryEntry::from).collect(),
        pending_tool_calls: pending_tool_calls.into_iter().map(PendingToolCall::from).collect(),
    }
}

/// What bridge skills need.
pub fn bridge(bridge: BridgeRuntime) -> Bridge {
    Bridge {
        base_url: bridge.base_url.as_ref().map(exposed),
        app_base_url_map_json: bridge.base_url_map_json.as_ref().map(exposed),
        service_id: bridge.service_id.as_ref().map(exposed),
        app_key: bridge.app_key.as_ref().map(exposed),
        service_key: bridge.service_key.as_ref().map(exposed),
        service_key_secret_ref: bridge.service_key_ref.map(|name| name.to_string()),
        bot_identity: bridge.bot_identity.map(|bot| bot.to_string()),
    }
}

/// Reads history entries; `pointer` is their place in the body. An entry without a time gets `now`.
///
/// # Errors
/// A refusal that names the first entry with an unknown role.
pub fn history(
    pointer: &str,
    entries: Vec<HistoryEntry>,
    now: Timestamp,
) -> Result<Vec<message::HistoryEntry>, Refusal> {
    let entry = |(i, entry): (usize, HistoryEntry)| {
        let role = Role::parse(&entry.role).ok_or_else(|| {
            Refusal::field(format!("{pointer}/{i}/role"), "role must be one of user, assistant, system, tool")
        })?;
        let at = entry.at.map_or(now, Timestamp::from_millis);
        Ok(message::HistoryEntry { role, content: entry.content, at })
    };
    entries.into_iter().enumerate().map(entry).collect()
}

/// Reads a reply.
///
/// # Errors
/// A refusal of an unknown format.
pub fn reply(reply: ReplyBody) -> Result<message::Reply, Refusal> {
    let format = match reply.format {
        Some(name) => ReplyFormat::parse(name)
            .ok_or_else(|| Refusal::field("/reply/format", "format must be one of plain, markdown, html"))?,
        None => ReplyFormat::Plain,
    };
    Ok(message::Reply { text: reply.text, format })
}

/// Reads who brings the reply to the user.
///
/// # Errors
/// A refusal of an unknown word.
pub fn delivered_by(word: Option<&str>) -> Result<DeliveredBy, Refusal> {
    match word {
        None | Some("outbox") => Ok(DeliveredBy::Outbox),
        Some("self") => Ok(DeliveredBy::Worker),
        Some(_) => Err(Refusal::field("/delivery", "delivery must be outbox or self")),
    }
}

/// Reads pending tool calls.
pub fn tool_calls(calls: Option<Vec<PendingToolCall>>) -> Option<Vec<message::PendingToolCall>> {
    calls.map(|calls| calls.into_iter().map(message::PendingToolCall::from).collect())
}

/// Reads the usage of an attempt.
///
/// # Errors
/// A refusal that names the field with a malformed name or a number over [`MAX_USAGE_COUNT`].
pub fn usage(usage: Option<UsageBody>) -> Result<Option<Usage>, Refusal> {
    let Some(usage) = usage else { return Ok(None) };
    let name = |field: &str, text: Option<String>| {
        let malformed = |why: InvalidId| {
            Refusal::field(format!("/usage/{field}"), format!("{field} must be {}", why.rule))
        };
        text.map(ModelName::parse).transpose().map_err(malformed)
    };
    let numbers = [
        ("inputTokens", Some(usage.input_tokens)),
        ("outputTokens", Some(usage.output_tokens)),
        ("cachedInputTokens", usage.cached_input_tokens),
        ("costMicros", usage.cost_micros),
        ("turns", usage.turns),
        ("toolCalls", usage.tool_calls),
    ];
    if let Some((field, _)) = numbers.iter().find(|(_, number)| number.is_some_and(|n| n > MAX_USAGE_COUNT)) {
        return Err(Refusal::field(
            format!("/usage/{field}"),
            format!("{field} must be at most {MAX_USAGE_COUNT}"),
        ));
    }
    if usage.cached_input_tokens.is_some_and(|cached| cached > usage.input_tokens) {
        let detail = "cachedInputTokens must be at most inputTokens, which includes them";
        return Err(Refusal::field("/usage/cachedInputTokens", detail));
    }
    Ok(Some(Usage {
        model: name("model", usage.model)?,
        provider: name("provider", usage.provider)?,
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cached_input_tokens: usage.cached_input_tokens,
        cost_micros: usage.cost_micros,
        turns: usage.turns,
        tool_calls: usage.tool_calls,
    }))
}

/// Reads a lease and its fence, which must match.
///
/// # Errors
/// A refusal that names the field with the malformed lease id or the wrong fence.
pub fn lease(id: &str, fence: u64) -> Result<LeaseId, Refusal> {
    let lease = LeaseId::parse(id)?;
    if lease.parts().fence.0 == fence {
        return Ok(lease);
    }
    Err(Refusal::field("/fence", "fence must be the one that the claim answered with this leaseId"))
}

fn exposed(secret: &SecretString) -> String {
    secret.expose_secret().to_owned()
}
