//! Agent-bridge: how an agent's skills reach the tools of its consumer app.
//!
//! A profile says what is no secret and names secrets; what it leaves open is looked for in secrets with agreed names.
//! Nothing here calls anybody: values are stored, found and handed on.

use crate::ids::{AgentKey, SecretRef};

/// Something that bridge skills need to know. Each is looked for on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeField {
    /// Where the app takes calls.
    BaseUrl,
    /// The same for several apps, as a JSON object of URLs by app.
    BaseUrlMapJson,
    /// Who calls.
    ServiceId,
    /// The app.
    AppKey,
    /// The key of who calls.
    ServiceKey,
    /// What links accounts; one for the whole deployment.
    LinkingSharedSecret,
}

impl BridgeField {
    const fn name(self) -> &'static str {
        match self {
            BridgeField::BaseUrl => "baseUrl",
            BridgeField::BaseUrlMapJson => "baseUrlMapJson",
            BridgeField::ServiceId => "serviceId",
            BridgeField::AppKey => "appKey",
            BridgeField::ServiceKey => "serviceKey",
            BridgeField::LinkingSharedSecret => "linkingSharedSecret",
        }
    }

    /// The secret that holds it for every agent.
    ///
    /// # Panics
    /// Never: the name is made of secret ref characters.
    pub fn global_ref(self) -> SecretRef {
        SecretRef::parse(format!("agent-bridge.{}", self.name())).expect("it is a secret ref")
    }

    /// The secret that holds it for one agent.
    ///
    /// # Panics
    /// Never: an agent key is made of secret ref characters, and short enough.
    pub fn agent_ref(self, agent: &AgentKey) -> SecretRef {
        SecretRef::parse(format!("agent-bridge.{}.{agent}", self.name())).expect("it is a secret ref")
    }
}

/// What a profile says of its bridge. It names secrets and holds none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeConfig {
    /// Whether the agent has its bridge; the rest is kept while it has not.
    pub enabled: bool,
    /// Where the app takes calls.
    pub base_url: Option<String>,
    /// Who calls.
    pub service_id: Option<String>,
    /// The app.
    pub app_key: Option<String>,
    /// The secret with the service key.
    pub service_key_ref: Option<SecretRef>,
    /// The secret with the URLs of several apps.
    pub base_url_map_ref: Option<SecretRef>,
}

impl BridgeConfig {
    /// What the profile itself says of `field`; it wins over every secret.
    pub fn value(&self, field: BridgeField) -> Option<&str> {
        match field {
            BridgeField::BaseUrl => self.base_url.as_deref(),
            BridgeField::ServiceId => self.service_id.as_deref(),
            BridgeField::AppKey => self.app_key.as_deref(),
            BridgeField::BaseUrlMapJson | BridgeField::ServiceKey | BridgeField::LinkingSharedSecret => None,
        }
    }

    /// The secrets that may hold the agent's own `field`, the first that has a value wins: the one that the profile
    /// names, then the agent's by its agreed name. None are needed where the profile has the value itself.
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

    /// The same, and last the one for every agent.
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
    fn a_value_is_looked_for_in_the_named_secret_then_the_agents_then_the_global_one() {
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
    fn what_the_profile_says_itself_needs_no_secret() {
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
    fn the_longest_agent_key_still_makes_a_secret_ref() {
        let agent = AgentKey::parse("a".repeat(64)).unwrap();
        assert!(BridgeField::BaseUrlMapJson.agent_ref(&agent).as_str().ends_with(agent.as_str()));
    }
}
