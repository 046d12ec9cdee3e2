//! The agents of a consumer user: those to which the user is or was bound, and those for which the user has a pairing code.

use std::collections::BTreeMap;

use af_api::user_agents::{UserAgentBody, UserAgentsOverview};
use af_domain::agent::{AgentProfile, ListedBinding, conversation_of};
use af_domain::ids::{AgentKey, ConsumerUserId, PairingCode};
use af_domain::pairing::Pairing;
use af_domain::refusal::Refusal;
use af_domain::user_agent::{
    BindingState, UserAgent, UserAgentStatus, active_agent, agents_of, usable_status,
};

use crate::{App, Result};

/// Bindings of a user that are read, the newest first. A person pairs again some times a year. The agents of older bindings
/// are not listed.
const MAX_BINDINGS: u32 = 1_000;
/// Agents with a pairing code that are read. A code is known until one day after its end.
const MAX_CODES: i32 = 1_000;
/// Agents whose profiles are read at once: the keys of one batch.
const AGENTS_AT_ONCE: usize = 100;

/// Which agents of a user to return.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Whether agents with the status `disabled` are included.
    pub include_disabled: bool,
    /// The maximum number of agents.
    pub limit: u32,
    /// The key after which the page begins.
    pub after: Option<String>,
}

/// Returns one page of the agents of `user`, by key. The cursor of the answer is the key of the last agent. A user without
/// agents has an empty page.
pub async fn overview(app: &App, user: &ConsumerUserId, wanted: &Wanted) -> Result<UserAgentsOverview> {
    let known = Known::read(app, user).await?;
    let rest: Vec<_> = known.agents.iter().filter(|(key, _)| is_after(key, wanted)).collect();
    let (mut shown, mut next) = (Vec::new(), None);
    let mut active = None;
    let limit = wanted.limit as usize;
    // One round without agents reads the profile of the active one.
    let rounds = rest.chunks(AGENTS_AT_ONCE.min(limit + 1)).chain(rest.is_empty().then_some(&[][..]));
    'rounds: for round in rounds {
        let keys: Vec<_> = round.iter().map(|(key, _)| *key).collect();
        let details = Details::read(app, &known, &keys).await?;
        active = details.active(&known);
        for (key, binding) in round {
            let agent = details.agent(app, user, key, **binding);
            if !wanted.include_disabled && agent.status() == UserAgentStatus::Disabled {
                continue;
            }
            if shown.len() == limit {
                next = shown.last().map(|agent: &UserAgent| agent.agent.to_string());
                break 'rounds;
            }
            shown.push(agent);
        }
    }
    let can_create = active.is_none();
    Ok(UserAgentsOverview {
        agents: shown.into_iter().map(|agent| body(agent, can_create)).collect::<Result<_>>()?,
        next_cursor: next,
        active_agent_key: active.map(|key| key.to_string()),
        can_create_new_agent: can_create,
    })
}

/// Returns an agent of `user`, or 404 if the user has no binding to it and no pairing code for it.
pub async fn get(app: &App, user: &ConsumerUserId, agent: &AgentKey) -> Result<UserAgentBody> {
    let known = Known::read(app, user).await?;
    let missing = || Refusal::not_found(format!("agent {agent} of user {user}"));
    let binding = *known.agents.get(agent).ok_or_else(missing)?;
    let details = Details::read(app, &known, &[agent]).await?;
    body(details.agent(app, user, agent, binding), details.active(&known).is_none())
}

/// Returns the agent to which `user` is bound, or 404 if there is none or it accepts no messages.
pub async fn active(app: &App, user: &ConsumerUserId) -> Result<UserAgentBody> {
    let known = Known::read(app, user).await?;
    let missing = || Refusal::not_found(format!("active agent of user {user}"));
    let bound = known.bound.as_ref().ok_or_else(missing)?;
    let details = Details::read(app, &known, &[bound]).await?;
    let agent = details.active(&known).ok_or_else(missing)?;
    let binding = known.agents.get(&agent).copied().flatten();
    body(details.agent(app, user, &agent, binding), false)
}

fn is_after(key: &AgentKey, wanted: &Wanted) -> bool {
    wanted.after.as_deref().is_none_or(|after| key.as_str() > after)
}

fn body(agent: UserAgent, can_create_new_agent: bool) -> Result<UserAgentBody> {
    let conversation = conversation_of(&agent.agent, &agent.user)?.to_string();
    Ok(UserAgentBody::new(agent, conversation, can_create_new_agent))
}

/// The agents of a user, without their profiles.
struct Known {
    agents: BTreeMap<AgentKey, Option<BindingState>>,
    bound: Option<AgentKey>,
    codes: BTreeMap<AgentKey, PairingCode>,
}

impl Known {
    async fn read(app: &App, user: &ConsumerUserId) -> Result<Self> {
        let (bindings, codes) = tokio::try_join!(
            app.store.bindings_of_user(user, MAX_BINDINGS, None),
            app.store.newest_codes_of(user, MAX_CODES, app.now())
        )?;
        let bindings: Vec<ListedBinding> = bindings.items;
        let codes: BTreeMap<_, _> = codes.into_iter().collect();
        Ok(Self {
            agents: agents_of(&bindings, codes.keys().cloned()),
            bound: active_agent(&bindings).cloned(),
            codes,
        })
    }
}

/// The profiles and the pairing codes of some agents, and the profile of the bound agent.
struct Details {
    profiles: BTreeMap<AgentKey, AgentProfile>,
    pairings: BTreeMap<AgentKey, Pairing>,
}

impl Details {
    async fn read(app: &App, known: &Known, agents: &[&AgentKey]) -> Result<Self> {
        let codes: Vec<_> = agents.iter().filter_map(|agent| known.codes.get(*agent)).collect();
        let profiles: Vec<_> = agents.iter().copied().chain(&known.bound).collect();
        let (profiles, pairings) =
            tokio::try_join!(app.store.agents_now(&profiles), app.store.pairings(&codes, app.now()))?;
        Ok(Self {
            profiles: profiles.into_iter().map(|profile| (profile.key.clone(), profile)).collect(),
            pairings: pairings.into_iter().map(|pairing| (pairing.agent.clone(), pairing)).collect(),
        })
    }

    /// The bound agent, if it accepts messages.
    fn active(&self, known: &Known) -> Option<AgentKey> {
        let bound = known.bound.as_ref()?;
        self.profiles.get(bound).filter(|profile| profile.enabled).map(|_| bound.clone())
    }

    fn agent(
        &self,
        app: &App,
        user: &ConsumerUserId,
        agent: &AgentKey,
        binding: Option<BindingState>,
    ) -> UserAgent {
        let profile = self.profiles.get(agent);
        let pairing = self.pairings.get(agent);
        UserAgent {
            user: user.clone(),
            agent: agent.clone(),
            profile: profile.cloned(),
            binding,
            pairing: pairing.and_then(|pairing| usable_status(pairing, profile, app.now())),
        }
    }
}
