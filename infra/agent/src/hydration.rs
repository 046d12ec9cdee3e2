//! A hydration bundle as the server sent it.

use std::fmt;

use af_api::messages::PayloadBody;
use af_api::worker::hydration::Bridge;
use serde::Deserialize;
use serde_json::Value;

/// A hydration bundle: the JSON as the server sent it, for engines that read all of it, and the parts that the worker
/// reads itself.
///
/// The parts are read one by one, and not as one `af_api` bundle: a newer server may add fields to any part, and a
/// history entry with an unknown field must not make the whole poll unreadable.
#[derive(Clone, Deserialize)]
#[serde(try_from = "Value")]
pub struct ReceivedBundle {
    /// The whole bundle.
    pub raw: Value,
    /// What the message carries.
    pub payload: PayloadBody,
    /// The bridge values; all are empty when the agent has no bridge.
    pub bridge: Bridge,
}

impl TryFrom<Value> for ReceivedBundle {
    type Error = serde_json::Error;

    fn try_from(raw: Value) -> Result<Self, Self::Error> {
        let payload = PayloadBody::deserialize(&raw["payload"])?;
        let bridge = Option::<Bridge>::deserialize(&raw["bridgeRuntimeConfig"])?.unwrap_or_default();
        Ok(Self { raw, payload, bridge })
    }
}

/// Shows neither the text nor the secrets in the bundle.
impl fmt::Debug for ReceivedBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedBundle").field("messageId", &self.raw["messageId"]).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bundle_keeps_unknown_fields_and_its_debug_output_shows_no_secret() {
        let bundle: ReceivedBundle = serde_json::from_value(json!({
            "messageId": "m1", "newSecret": "1:secret", "tomorrow": true, "bridgeRuntimeConfig": null,
            "payload": {"provider": "telegram", "providerUserId": "7", "messageText": "hello", "metadata": {},
                "attachments": []},
        }))
        .unwrap();
        assert_eq!((bundle.raw["tomorrow"].as_bool(), &*bundle.payload.message_text), (Some(true), "hello"));
        let shown = format!("{bundle:?}");
        assert!(shown.contains("m1") && !shown.contains("secret") && !shown.contains("hello"), "{shown}");
    }
}
