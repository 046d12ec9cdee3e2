//! Agent-bridge values for the engine: from hydration, else from our own environment.
//!
//! Each value has several names in use; a program may read any of them, so all are set, and to the same value.

use std::fmt;

use serde_json::Value;

/// The values, each with its field in `bridgeRuntimeConfig` and its variables, the first found first.
const VALUES: [(&str, &[&str]); 4] = [
    ("baseUrl", &["OPENCLAW_AGENT_BRIDGE_BASE_URL", "AGENT_BRIDGE_BASE_URL"]),
    ("serviceId", &["OPENCLAW_SERVICE_ID", "AGENT_BRIDGE_SERVICE_ID"]),
    ("serviceKey", &["OPENCLAW_SERVICE_KEY", "AGENT_BRIDGE_SERVICE_KEY"]),
    ("appKey", &["OPENCLAW_AGENT_APP", "OPENCLAW_APP_KEY", "AGENT_BRIDGE_APP_KEY"]),
];

/// The URLs of several apps, as strict bridge skills read them. Hydration alone brings it.
const BASE_URL_MAP: (&str, &str) = ("appBaseUrlMapJson", "APP_BASE_URL_MAP_JSON");

/// What our own environment has. `Debug` shows nothing: the service key is a secret.
#[derive(Clone, Default)]
pub struct BridgeFallback([Option<String>; VALUES.len()]);

impl fmt::Debug for BridgeFallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BridgeFallback")
    }
}

impl BridgeFallback {
    /// Reads the variables through `get`, which answers no blank ones.
    pub(crate) fn from_env(get: impl Fn(&str) -> Option<String>) -> Self {
        Self(VALUES.map(|(_, names)| names.iter().find_map(|name| get(name))))
    }

    /// The variables for an engine, given what hydration brought (`bridgeRuntimeConfig`, may be null).
    pub(crate) fn environment(&self, hydrated: &Value) -> Vec<(&'static str, String)> {
        let mut environment = Vec::new();
        for ((field, names), fallback) in VALUES.iter().zip(&self.0) {
            if let Some(value) = text(&hydrated[*field]).or_else(|| fallback.clone()) {
                environment.extend(names.iter().map(|name| (*name, value.clone())));
            }
        }
        let (field, name) = BASE_URL_MAP;
        environment.extend(text(&hydrated[field]).map(|map| (name, map)));
        environment
    }
}

/// A value as text; a map that was hydrated as an object is written as JSON.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Object(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hydration_wins_and_the_environment_fills_the_gaps() {
        let own = BridgeFallback::from_env(|name| match name {
            "AGENT_BRIDGE_BASE_URL" => Some("http://own".to_owned()),
            "OPENCLAW_SERVICE_ID" => Some("own-id".to_owned()),
            "AGENT_BRIDGE_SERVICE_ID" => Some("second".to_owned()),
            _ => None,
        });
        let hydrated = json!({"baseUrl": "", "serviceId": "hydrated", "appBaseUrlMapJson": "{\"a\":\"b\"}"});
        assert_eq!(
            own.environment(&hydrated),
            [
                ("OPENCLAW_AGENT_BRIDGE_BASE_URL", "http://own".to_owned()),
                ("AGENT_BRIDGE_BASE_URL", "http://own".to_owned()),
                ("OPENCLAW_SERVICE_ID", "hydrated".to_owned()),
                ("AGENT_BRIDGE_SERVICE_ID", "hydrated".to_owned()),
                ("APP_BASE_URL_MAP_JSON", "{\"a\":\"b\"}".to_owned()),
            ]
        );
        assert_eq!(own.environment(&Value::Null)[2], ("OPENCLAW_SERVICE_ID", "own-id".to_owned()));
    }

    #[test]
    fn nothing_is_set_where_nothing_is_known() {
        assert!(BridgeFallback::default().environment(&json!({"baseUrl": null})).is_empty());
    }
}
