//! The agents of a consumer user: the status of each, and what the user may do with it.

use std::collections::BTreeMap;

use crate::agent::{AgentProfile, ListedBinding};
use crate::ids::{AgentKey, ConsumerUserId};
use crate::named_enum;
use crate::pairing::{Pairing, PairingStatus};
use crate::time::Timestamp;

named_enum! {
    /// The status of an agent of a user.
    pub enum UserAgentStatus {
        /// The user is bound to the agent.
        Active = "active",
        /// The user is bound to the agent, and the agent accepts no messages.
        Failed = "failed",
        /// A pairing code of the user waits for its use.
        Pairing = "pairing",
        /// The user is not bound to the agent any more, or the agent accepts no messages.
        Disabled = "disabled",
        /// The user is not bound to the agent yet.
        Draft = "draft",
    }
}

named_enum! {
    /// The state of the newest binding of a user to an agent.
    pub enum BindingState {
        /// The binding is in force.
        Active = "active",
        /// The binding was revoked or replaced.
        Revoked = "revoked",
    }
}

/// An agent of a user: one to which the user is or was bound, or for which the user has a pairing code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAgent {
    /// The user.
    pub user: ConsumerUserId,
    /// The agent.
    pub agent: AgentKey,
    /// The profile of the agent; `None` after it was deleted.
    pub profile: Option<AgentProfile>,
    /// The newest binding of the user to the agent.
    pub binding: Option<BindingState>,
    /// The newest pairing code of the user for the agent.
    pub pairing: Option<PairingStatus>,
}

impl UserAgent {
    /// The status.
    pub fn status(&self) -> UserAgentStatus {
        let is_enabled = self.profile.as_ref().is_some_and(|profile| profile.enabled);
        match (self.binding, self.pairing) {
            (Some(BindingState::Active), _) if is_enabled => UserAgentStatus::Active,
            (Some(BindingState::Active), _) => UserAgentStatus::Failed,
            (_, Some(PairingStatus::Pending)) => UserAgentStatus::Pairing,
            (Some(BindingState::Revoked), _) => UserAgentStatus::Disabled,
            (None, _) if !is_enabled => UserAgentStatus::Disabled,
            (None, _) => UserAgentStatus::Draft,
        }
    }
}

/// The agents of a user, by key, with the state of the newest binding to each. `bindings` begins with the newest one.
pub fn agents_of(
    bindings: &[ListedBinding],
    pairings: impl IntoIterator<Item = AgentKey>,
) -> BTreeMap<AgentKey, Option<BindingState>> {
    let mut agents: BTreeMap<_, _> = pairings.into_iter().map(|agent| (agent, None)).collect();
    for listed in bindings {
        let state = match listed.revoked_at {
            Some(_) => BindingState::Revoked,
            None => BindingState::Active,
        };
        agents.entry(listed.binding.agent.clone()).or_default().get_or_insert(state);
    }
    agents
}

/// The agent to which the user is bound.
pub fn active_agent(bindings: &[ListedBinding]) -> Option<&AgentKey> {
    let active = bindings.iter().find(|listed| listed.revoked_at.is_none());
    active.map(|listed| &listed.binding.agent)
}

/// The status of a pairing code that belongs to the present bot of the agent. A code for another bot cannot be used.
pub fn usable_status(
    pairing: &Pairing,
    profile: Option<&AgentProfile>,
    now: Timestamp,
) -> Option<PairingStatus> {
    let bot = profile.and_then(|profile| profile.bot.as_ref());
    bot.filter(|bot| bot.identity == pairing.bot).map(|_| pairing.status(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{Binding, BindingSource, conversation_of};
    use crate::ids::BindingId;

    fn profile(enabled: bool) -> AgentProfile {
        AgentProfile {
            key: AgentKey::parse("support").unwrap(),
            display_name: None,
            version: "1".to_owned(),
            enabled,
            secrets_ref: Vec::new(),
            bot: None,
            bridge: None,
            updated_at: Timestamp::default(),
        }
    }

    #[test]
    fn the_status_follows_from_binding_pairing_and_profile() {
        use BindingState::{Active, Revoked};
        use PairingStatus::{Expired, Pending, Used};
        let status = |binding, pairing, profile| {
            let (user, agent) = (ConsumerUserId::parse("ann").unwrap(), AgentKey::parse("support").unwrap());
            UserAgent { user, agent, profile, binding, pairing }.status()
        };
        for (binding, pairing, enabled, gone) in [
            (Some(Active), None, UserAgentStatus::Active, UserAgentStatus::Failed),
            (Some(Active), Some(Pending), UserAgentStatus::Active, UserAgentStatus::Failed),
            (Some(Revoked), None, UserAgentStatus::Disabled, UserAgentStatus::Disabled),
            (Some(Revoked), Some(Pending), UserAgentStatus::Pairing, UserAgentStatus::Pairing),
            (Some(Revoked), Some(Used), UserAgentStatus::Disabled, UserAgentStatus::Disabled),
            (None, Some(Pending), UserAgentStatus::Pairing, UserAgentStatus::Pairing),
            (None, Some(Expired), UserAgentStatus::Draft, UserAgentStatus::Disabled),
            (None, None, UserAgentStatus::Draft, UserAgentStatus::Disabled),
        ] {
            assert_eq!(status(binding, pairing, Some(profile(true))), enabled, "{binding:?} {pairing:?}");
            for profile in [None, Some(profile(false))] {
                assert_eq!(status(binding, pairing, profile), gone, "{binding:?} {pairing:?}");
            }
        }
    }

    #[test]
    fn an_agent_has_the_state_of_its_newest_binding() {
        let user = ConsumerUserId::parse("ann").unwrap();
        let bound = |agent: &str, revoked_at| {
            let agent = AgentKey::parse(agent).unwrap();
            let binding = Binding {
                id: BindingId::parse("0".repeat(26)).unwrap(),
                user: user.clone(),
                conversation: conversation_of(&agent, &user).unwrap(),
                agent,
                telegram: None,
                source: BindingSource::Api,
                bound_at: Timestamp::default(),
            };
            ListedBinding { binding, revoked_at }
        };
        let ended = Some(Timestamp::from_millis(1));
        let bindings = [bound("b", None), bound("a", ended), bound("b", ended)];
        let paired = ["a", "c"].map(|agent| AgentKey::parse(agent).unwrap());
        let agents = agents_of(&bindings, paired);
        let agents: Vec<_> = agents.iter().map(|(agent, state)| (agent.as_str(), *state)).collect();
        let expected = [("a", Some(BindingState::Revoked)), ("b", Some(BindingState::Active)), ("c", None)];
        assert_eq!(agents, expected);
        assert_eq!(active_agent(&bindings).map(AgentKey::as_str), Some("b"));
        assert_eq!(active_agent(&bindings[1..]), None);
    }
}
