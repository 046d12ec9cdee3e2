//! The ingress config: how updates of Telegram become messages, for the deployment and for the bots of single agents.
//!
//! It is part of the settings document, which every function reads anyway, so it costs no request.

use std::collections::BTreeMap;

use af_domain::ids::AgentKey;
use af_domain::ingress::{ConversationPer, GroupTrigger, IngressRules};
use af_domain::notice::NoticeKind;
use serde_json::Value;

use crate::settings::overrides::Overrides;

/// The group of the config in the settings document. No group of policies has this name.
pub(crate) const GROUP: &str = "ingress";
/// The field of the config with the values of single agents.
pub(crate) const AGENTS: &str = "agents";
/// The field of the config with the texts of notices.
pub(crate) const TEXTS: &str = "texts";
/// The field of the config with the agent whose bot manages other bots.
const MANAGER: &str = "managerAgentKey";

/// The rules of the deployment and of the agents that differ from it.
#[derive(Clone, Debug, Default)]
pub(crate) struct IngressSettings {
    pub(crate) deployment: IngressRules,
    /// The agent whose bot manages the bots that people create.
    pub(crate) manager: Option<AgentKey>,
    agents: BTreeMap<AgentKey, IngressRules>,
}

impl IngressSettings {
    /// Reads the stored config. A field that this version does not know has no effect.
    pub(crate) fn of(stored: &Overrides) -> Self {
        let Some(fields) = stored.get(GROUP) else { return Self::default() };
        let deployment = changed(&IngressRules::default(), |name| fields.get(name));
        let of_agent = |(key, fields): (&String, &Value)| {
            let rules = changed(&deployment, |name| fields.get(name));
            AgentKey::parse(key.as_str()).ok().map(|key| (key, rules))
        };
        let agents = fields.get(AGENTS).and_then(Value::as_object);
        let agents = agents.into_iter().flatten().filter_map(of_agent).collect();
        let manager = fields.get(MANAGER).and_then(Value::as_str).and_then(|key| AgentKey::parse(key).ok());
        Self { deployment, manager, agents }
    }

    /// Returns the rules for the bot of `agent`.
    pub(crate) fn rules(&self, agent: &AgentKey) -> &IngressRules {
        self.agents.get(agent).unwrap_or(&self.deployment)
    }
}

/// Returns `rules` with the fields that are set.
fn changed<'v>(rules: &IngressRules, field: impl Fn(&str) -> Option<&'v Value>) -> IngressRules {
    let mut rules = rules.clone();
    let text = |name: &str| field(name).and_then(Value::as_str);
    fn put<T>(place: &mut T, value: Option<T>) {
        if let Some(value) = value {
            *place = value;
        }
    }
    put(&mut rules.group_trigger, text("groupTrigger").and_then(GroupTrigger::parse));
    put(&mut rules.conversation_per, text("conversationPer").and_then(ConversationPer::parse));
    put(&mut rules.require_binding, field("requireBinding").and_then(Value::as_bool));
    put(&mut rules.fallback_agent, text("fallbackAgentKey").and_then(|key| AgentKey::parse(key).ok()));
    put(&mut rules.resolve_agent_from_binding, field("resolveAgentKeyFromBinding").and_then(Value::as_bool));
    put(&mut rules.show_activity, field("showActivity").and_then(Value::as_bool));
    put(&mut rules.limit.per_minute, field("maxPerMinute").and_then(Value::as_u64));
    put(&mut rules.limit.burst, field("maxBurst").and_then(Value::as_u64));
    let texts = field(TEXTS).and_then(Value::as_object);
    for kind in NoticeKind::ALL {
        let own = texts.and_then(|texts| texts.get(kind.as_str())).and_then(Value::as_str);
        // Earlier versions stored three texts as fields of the config itself.
        let earlier = || text(&format!("{}Text", kind.as_str()));
        if let Some(own) = own.or_else(earlier) {
            rules.texts.set(kind, own.to_owned());
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_has_the_rules_of_the_deployment_except_its_own() {
        let stored = r#"{"ingress": {"requireBinding": true, "maxBurst": 3, "tone": 1, "agents":
            {"support": {"requireBinding": false, "groupTrigger": "all", "mood": [], "texts": {"stopped": ""}}},
            "failureText": "Sorry.", "texts": {"greeting": "Hi"}, "managerAgentKey": "m"}}"#;
        let settings = IngressSettings::of(&serde_json::from_str(stored).unwrap());
        let rules = |agent: &str| settings.rules(&AgentKey::parse(agent).unwrap()).clone();
        let (other, support) = (rules("other"), rules("support"));
        assert_eq!((other.require_binding, other.limit.burst, other.limit.per_minute), (true, 3, 20));
        assert_eq!((support.require_binding, support.limit.burst), (false, 3));
        let text = |rules: &IngressRules, kind| rules.texts.configured(kind).to_owned();
        assert_eq!(text(&support, NoticeKind::Stopped), "");
        assert_eq!(text(&other, NoticeKind::Stopped), "Stopped.");
        assert_eq!(text(&support, NoticeKind::Greeting), "Hi");
        assert_eq!(text(&other, NoticeKind::Failure), "Sorry.", "as an earlier version stored it");
        assert_eq!(settings.manager, AgentKey::parse("m").ok());
        assert_eq!((other.group_trigger, support.group_trigger), (GroupTrigger::Mention, GroupTrigger::All));
    }
}
