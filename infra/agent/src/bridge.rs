//! Agent-bridge values for the engine: from hydration, else from the worker's own environment.
//!
//! Programs use several variable names for each value, so all of them are set to the same value.

use std::fmt;

use af_api::worker::hydration::Bridge;

/// The variables of each value that both hydration and the worker's environment can set. The worker's own environment
/// counts from the first one that is set.
const NAMES: [&[&str]; 4] = [
    &["OPENCLAW_AGENT_BRIDGE_BASE_URL", "AGENT_BRIDGE_BASE_URL"],
    &["OPENCLAW_SERVICE_ID", "AGENT_BRIDGE_SERVICE_ID"],
    &["OPENCLAW_SERVICE_KEY", "AGENT_BRIDGE_SERVICE_KEY"],
    &["OPENCLAW_AGENT_APP", "OPENCLAW_APP_KEY", "AGENT_BRIDGE_APP_KEY"],
];

/// The variable with the URLs of several apps, which strict bridge skills read. Only hydration sets it.
const BASE_URL_MAP: &str = "APP_BASE_URL_MAP_JSON";

/// The values of the worker's own environment. `Debug` shows none of them, because the service key is a secret.
#[derive(Clone, Default)]
pub struct BridgeFallback([Option<String>; NAMES.len()]);

impl fmt::Debug for BridgeFallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BridgeFallback")
    }
}

impl BridgeFallback {
    /// Reads the variables through `get`, which answers `None` for a blank variable.
    pub(crate) fn from_env(get: impl Fn(&str) -> Option<String>) -> Self {
        Self(NAMES.map(|names| names.iter().find_map(|name| get(name))))
    }

    /// The variables for an engine. A hydrated value wins over the worker's own.
    pub(crate) fn environment(&self, hydrated: &Bridge) -> Vec<(&'static str, String)> {
        let Bridge { base_url, service_id, service_key, app_key, .. } = hydrated;
        let values = [base_url, service_id, service_key, app_key];
        let mut environment = Vec::new();
        for ((names, value), fallback) in NAMES.iter().zip(values).zip(&self.0) {
            if let Some(text) = not_blank(value.as_ref()).or(fallback.as_ref()) {
                environment.extend(names.iter().map(|name| (*name, text.clone())));
            }
        }
        let map = not_blank(hydrated.app_base_url_map_json.as_ref());
        environment.extend(map.map(|map| (BASE_URL_MAP, map.clone())));
        environment
    }
}

fn not_blank(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hydrated_value_wins_and_the_environment_fills_the_gaps() {
        let own = BridgeFallback::from_env(|name| match name {
            "AGENT_BRIDGE_BASE_URL" => Some("http://own".to_owned()),
            "OPENCLAW_SERVICE_ID" => Some("own-id".to_owned()),
            "AGENT_BRIDGE_SERVICE_ID" => Some("second".to_owned()),
            _ => None,
        });
        let hydrated = Bridge {
            base_url: Some(String::new()),
            service_id: Some("hydrated".to_owned()),
            app_base_url_map_json: Some("{\"a\":\"b\"}".to_owned()),
            ..Bridge::default()
        };
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
        assert_eq!(own.environment(&Bridge::default())[2], ("OPENCLAW_SERVICE_ID", "own-id".to_owned()));
    }

    #[test]
    fn without_any_value_no_variable_is_set() {
        assert!(BridgeFallback::default().environment(&Bridge::default()).is_empty());
    }
}
