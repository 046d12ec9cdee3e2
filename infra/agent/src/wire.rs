//! What goes over the wire, in the worker contract's words. Unknown fields are tolerated: servers grow.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /v1/worker/poll`
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PollRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<&'a str>,
    pub load: u8,
    pub hydrate: bool,
    /// Lets go of the conversation.
    pub release: bool,
    /// With `release`: there is nothing to keep of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub discard: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollAnswer {
    pub control: Control,
    pub job: Option<Job>,
    pub bundle: Option<Bundle>,
    pub next_poll_ms: u64,
}

/// What the server wants of the worker.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Control {
    pub should_stop: bool,
    #[serde(default)]
    pub reasons: Vec<String>,
    #[serde(default)]
    pub switch: bool,
    /// With `switch`: the conversation that we own.
    #[serde(default)]
    pub conversation_id: Option<String>,
}

/// A claimed message.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub message_id: String,
    pub conversation_id: String,
    pub agent_key: String,
    pub lease_id: String,
    pub fence: u64,
    pub attempt: u32,
    pub lease_expires_at: u64,
    pub next_heartbeat_ms: u64,
    pub lease_ms: u64,
}

/// A hydration bundle: as it came, for engines that read it whole, and the parts that we need ourselves.
#[derive(Clone, Deserialize)]
#[serde(try_from = "Value")]
pub struct Bundle {
    pub raw: Value,
    pub payload: Payload,
    pub telegram_bot_token: Option<SecretString>,
}

/// What was said, and by whom.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    pub provider: String,
    pub provider_user_id: String,
    pub message_text: String,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

impl TryFrom<Value> for Bundle {
    type Error = serde_json::Error;

    fn try_from(raw: Value) -> Result<Self, Self::Error> {
        let payload = Payload::deserialize(&raw["payload"])?;
        let telegram_bot_token = raw["telegramBotToken"].as_str().map(SecretString::from);
        Ok(Self { raw, payload, telegram_bot_token })
    }
}

impl Bundle {
    /// The bridge values; null when the agent has no bridge.
    pub fn bridge(&self) -> &Value {
        &self.raw["bridgeRuntimeConfig"]
    }
}

/// Shows neither the text nor the tokens that are inside.
impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle").field("messageId", &self.raw["messageId"]).finish_non_exhaustive()
    }
}

/// `POST …/heartbeat`
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatRequest<'a> {
    pub lease_id: &'a str,
    pub fence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatAnswer {
    pub held: bool,
    #[serde(default)]
    pub cancelled: bool,
    #[serde(default)]
    pub lease_expires_at: Option<u64>,
    #[serde(default)]
    pub control: Control,
    #[serde(default)]
    pub next_heartbeat_ms: Option<u64>,
}

/// `POST …/complete`
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompleteRequest<'a> {
    pub lease_id: &'a str,
    pub fence: u64,
    pub history: Vec<HistoryEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<&'a str>,
}

#[derive(Clone, Debug, Serialize)]
pub struct HistoryEntry<'a> {
    pub role: &'static str,
    pub content: &'a str,
    pub at: u64,
}

/// `POST …/fail`
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailRequest<'a> {
    pub lease_id: &'a str,
    pub fence: u64,
    pub error_message: &'a str,
    pub retryable: bool,
    /// We have to leave; whether the attempt counts then is for the server to say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
}

/// `POST /v1/worker/snapshots`
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrepareRequest<'a> {
    pub conversation_id: &'a str,
    pub reason: &'a str,
    pub size_bytes: u64,
    pub sha256: &'a str,
}

/// Where an archive goes. Its URL is a secret, so there is no `Debug`.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prepared {
    pub snapshot_id: String,
    pub upload_url: String,
    pub method: String,
    pub headers: BTreeMap<String, String>,
}

/// `GET /v1/worker/snapshots/latest`. Its URL is a secret, so there is no `Debug`.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latest {
    pub snapshot_id: String,
    pub download_url: String,
    pub sha256: String,
    pub size_bytes: u64,
    pub format_version: u64,
}

/// The part of a problem document that we decide by.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    pub code: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bundle_keeps_what_it_does_not_know_and_shows_no_secret() {
        let bundle: Bundle = serde_json::from_value(json!({
            "messageId": "m1", "telegramBotToken": "1:secret", "tomorrow": true,
            "payload": {"provider": "telegram", "providerUserId": "7", "messageText": "hello", "metadata": {}},
        }))
        .unwrap();
        assert_eq!((bundle.raw["tomorrow"].as_bool(), &*bundle.payload.message_text), (Some(true), "hello"));
        let shown = format!("{bundle:?}");
        assert!(shown.contains("m1") && !shown.contains("secret") && !shown.contains("hello"), "{shown}");
    }
}
