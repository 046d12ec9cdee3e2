//! Values that several routes send or take.

use af_app::agents::bridge::BridgeRuntime;
use af_app::worker::Control;
use af_domain::ids::LeaseId;
use af_domain::message::{HistoryEntry, PendingToolCall, Role};
use af_domain::refusal::Refusal;
use af_domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a worker is told about itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlBody {
    /// It shall finish what it runs, and leave.
    pub should_stop: bool,
    /// Why: `draining`, `not_assigned`, `unknown_worker`, `token_expired`.
    pub reasons: Vec<&'static str>,
    /// When it must be gone, epoch ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_by: Option<u64>,
    /// It shall let go of its conversation, by a poll with `release: true` that names it.
    pub switch: bool,
    /// With `switch`: which one. A worker whose claim's answer was lost does not know that it owns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
}

impl From<Control> for ControlBody {
    fn from(control: Control) -> Self {
        Self {
            should_stop: control.should_stop,
            reasons: control.reasons,
            drain_by: control.drain_by.map(Timestamp::as_millis),
            switch: control.switch.is_some(),
            conversation_id: control.switch.map(|conversation| conversation.to_string()),
        }
    }
}

/// An entry of a conversation's history.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntryBody {
    /// `user`, `assistant`, `system` or `tool`.
    pub role: String,
    /// What was said.
    pub content: String,
    /// When, epoch ms; the moment of the call when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
}

impl From<HistoryEntry> for EntryBody {
    fn from(entry: HistoryEntry) -> Self {
        Self { role: entry.role.as_str().to_owned(), content: entry.content, at: Some(entry.at.as_millis()) }
    }
}

/// Reads entries; `pointer` is where they stand in the body.
pub fn entries(pointer: &str, bodies: Vec<EntryBody>, now: Timestamp) -> Result<Vec<HistoryEntry>, Refusal> {
    let entry = |(i, body): (usize, EntryBody)| {
        let role = Role::parse(&body.role).ok_or_else(|| {
            Refusal::field(format!("{pointer}/{i}/role"), "role must be one of user, assistant, system, tool")
        })?;
        let at = body.at.map_or(now, Timestamp::from_millis);
        Ok(HistoryEntry { role, content: body.content, at })
    };
    bodies.into_iter().enumerate().map(entry).collect()
}

/// A tool call that has not been answered.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolCallBody {
    /// Which tool.
    pub tool_name: String,
    /// The call's id.
    pub call_id: String,
    /// Where it stands, in the agent's words.
    pub status: String,
}

impl From<PendingToolCall> for ToolCallBody {
    fn from(call: PendingToolCall) -> Self {
        Self { tool_name: call.tool_name, call_id: call.call_id, status: call.status }
    }
}

/// Reads tool calls.
pub fn tool_calls(bodies: Option<Vec<ToolCallBody>>) -> Option<Vec<PendingToolCall>> {
    let call =
        |b: ToolCallBody| PendingToolCall { tool_name: b.tool_name, call_id: b.call_id, status: b.status };
    bodies.map(|b| b.into_iter().map(call).collect())
}

/// What bridge skills need to reach the tools of the agent's app. Null is what nobody has set.
// It holds secrets, so it has no `Debug`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BridgeBody {
    /// Where the app takes calls.
    pub base_url: Option<String>,
    /// The same for several apps, a JSON object as text.
    pub app_base_url_map_json: Option<String>,
    /// Who calls.
    pub service_id: Option<String>,
    /// The app.
    pub app_key: Option<String>,
    /// The key of who calls.
    pub service_key: Option<String>,
    /// The secret that had the key.
    pub service_key_secret_ref: Option<String>,
    /// The agent's bot.
    pub bot_identity: Option<String>,
}

impl From<BridgeRuntime> for BridgeBody {
    fn from(bridge: BridgeRuntime) -> Self {
        let exposed = |value: Option<SecretString>| value.map(|v| v.expose_secret().to_owned());
        Self {
            base_url: exposed(bridge.base_url),
            app_base_url_map_json: exposed(bridge.base_url_map_json),
            service_id: exposed(bridge.service_id),
            app_key: exposed(bridge.app_key),
            service_key: exposed(bridge.service_key),
            service_key_secret_ref: bridge.service_key_ref.map(|name| name.to_string()),
            bot_identity: bridge.bot_identity.map(|bot| bot.to_string()),
        }
    }
}

/// Reads a lease and its fence, which must agree.
pub fn lease(id: &str, fence: u64) -> Result<LeaseId, Refusal> {
    let lease = LeaseId::parse(id)?;
    if lease.parts().fence.0 == fence {
        return Ok(lease);
    }
    Err(Refusal::field("/fence", "fence must be the one that the claim answered with this leaseId"))
}
