//! Agent bridge: how the skills of an agent reach the tools of its consumer app.
//!
//! A profile contains the values that are not secret, and names secrets. Missing values are read from secrets
//! with conventional names. This module makes no calls: values are stored, looked up and passed on.

use crate::ids::{AgentKey, SecretRef};
use crate::named_enum;

named_enum! {
    /// A value that bridge skills need. Each value is looked up separately.
    pub enum BridgeField {
        /// The URL of the app.
        BaseUrl = "baseUrl",
        /// The URLs of several apps, as a JSON object keyed by app.
        BaseUrlMapJson = "baseUrlMapJson",
        /// The id of the calling service.
        ServiceId = "serviceId",
        /// The key of the app.
        AppKey = "appKey",
        /// The secret key of the calling service.
        ServiceKey = "serviceKey",
        /// The secret for linking accounts. There is one for the whole deployment.
        LinkingSharedSecret = "linkingSharedSecret",
    }
}

impl BridgeField {
    /// The secret that contains the value for every agent.
    pub fn global_ref(self) -> SecretRef {
        SecretRef::parse(format!("agent-bridge.{}", self.as_str())).expect("it is a secret ref")
    }

    /// The secret that contains the value for one agent.
    pub fn agent_ref(self, agent: &AgentKey) -> SecretRef {
        SecretRef::parse(format!("agent-bridge.{}.{agent}", self.as_str())).expect("it is a secret ref")
    }
}

/// The bridge section of a profile. It names secrets and contains none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeConfig {
    /// Whether the bridge is on. The other fields are kept while it is off.
    pub enabled: bool,
    /// The URL of the app.
    pub base_url: Option<String>,
    /// The id of the calling service.
    pub service_id: Option<String>,
    /// The key of the app.
    pub app_key: Option<String>,
    /// The secret with the service key.
    pub service_key_ref: Option<SecretRef>,
    /// The secret with the URLs of several apps.
    pub base_url_map_ref: Option<SecretRef>,
}

impl BridgeConfig {
    /// Returns the value of `field` in the profile. It takes precedence over every secret.
    pub fn value(&self, field: BridgeField) -> Option<&str> {
        match field {
            BridgeField::BaseUrl => self.base_url.as_deref(),
            BridgeField::ServiceId => self.service_id.as_deref(),
            BridgeField::AppKey => self.app_key.as_deref(),
            BridgeField::BaseUrlMapJson | BridgeField::ServiceKey | BridgeField::LinkingSharedSecret => None,
        }
    }

    /// Returns the agent's own secrets that may contain `field`; the first one with a value wins. The secret
    /// named in the profile comes first, then the agent's secret with the conventional name. The list is
    /// empty if the profile contains the value itself.
    pub fn own_refs(&self, field: BridgeField, agent: &AgentKey) -> Vec<SecretRef> {
        if self.value(field).is_some() || field == BridgeField::LinkingSharedSecret {
            return Vec::new();
        }
        let named = match field {
            BridgeField::ServiceKey => self.service_key_ref.clone(),
            BridgeField::BaseUrlMapJson => self.base_url_map_ref.clone(),
            _ => None,
        };
        named.into_iter().chain([field.agent_ref(agent)]).collect()
    }

    /// Returns the same list followed by the secret for every agent.
    pub fn refs(&self, field: BridgeField, agent: &AgentKey) -> Vec<SecretRef> {
        let mut refs = self.own_refs(field, agent);
        if self.value(field).is_none() {
            refs.push(field.global_ref());
        }
        refs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(config: &BridgeConfig, field: BridgeField) -> Vec<String> {
        let agent = AgentKey::parse("support").unwrap();
        config.refs(field, &agent).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_value_is_read_from_the_named_secret_then_the_agents_then_the_global_one() {
        let config = BridgeConfig {
            service_key_ref: Some(SecretRef::parse("crm.key").unwrap()),
            base_url_map_ref: Some(SecretRef::parse("crm.urls").unwrap()),
            ..BridgeConfig::default()
        };
        for (field, expected) in [
            (
                BridgeField::ServiceKey,
                &["crm.key", "agent-bridge.serviceKey.support", "agent-bridge.serviceKey"][..],
            ),
            (
                BridgeField::BaseUrlMapJson,
                &["crm.urls", "agent-bridge.baseUrlMapJson.support", "agent-bridge.baseUrlMapJson"],
            ),
            (BridgeField::BaseUrl, &["agent-bridge.baseUrl.support", "agent-bridge.baseUrl"]),
            (BridgeField::ServiceId, &["agent-bridge.serviceId.support", "agent-bridge.serviceId"]),
            (BridgeField::AppKey, &["agent-bridge.appKey.support", "agent-bridge.appKey"]),
            (BridgeField::LinkingSharedSecret, &["agent-bridge.linkingSharedSecret"]),
        ] {
            assert_eq!(names(&config, field), expected);
        }
    }

    #[test]
    fn a_value_in_the_profile_needs_no_secret() {
        let config = BridgeConfig {
            base_url: Some("https://crm.example".into()),
            service_id: Some("crm".into()),
            app_key: Some("app".into()),
            ..BridgeConfig::default()
        };
        for field in [BridgeField::BaseUrl, BridgeField::ServiceId, BridgeField::AppKey] {
            assert!(config.value(field).is_some() && names(&config, field).is_empty(), "{field:?}");
        }
    }

    #[test]
    fn the_longest_agent_key_makes_a_valid_secret_ref() {
        let agent = AgentKey::parse("a".repeat(64)).unwrap();
        assert!(BridgeField::BaseUrlMapJson.agent_ref(&agent).as_str().ends_with(agent.as_str()));
    }
}
