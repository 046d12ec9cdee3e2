//! Values that several routes send or take.

use af_app::worker::Control;
use af_domain::ids::LeaseId;
use af_domain::message::{HistoryEntry, PendingToolCall, Role};
use af_domain::refusal::Refusal;
use af_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What a worker is told about itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlBody {
    /// It shall finish what it runs, and leave.
    pub should_stop: bool,
    /// Why: `draining`, `not_assigned`, `unknown_worker`, `token_expired`.
    pub reasons: Vec<&'static str>,
    /// When it must be gone, epoch ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_by: Option<u64>,
    /// It shall let go of its conversation, by a poll with `release: true`.
    pub switch: bool,
}

impl From<Control> for ControlBody {
    fn from(control: Control) -> Self {
        Self {
            should_stop: control.should_stop,
            reasons: control.reasons,
            drain_by: control.drain_by.map(Timestamp::as_millis),
            switch: control.switch,
        }
    }
}

/// An entry of a conversation's history.
#[derive(Debug, Serialize, Deserialize)]
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
#[derive(Debug, Serialize, Deserialize)]
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

/// Reads a lease and its fence, which must agree.
pub fn lease(id: &str, fence: u64) -> Result<LeaseId, Refusal> {
    let lease = LeaseId::parse(id)?;
    if lease.parts().fence.0 == fence {
        return Ok(lease);
    }
    Err(Refusal::field("/fence", "fence must be the one that the claim answered with this leaseId"))
}
