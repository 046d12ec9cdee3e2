//! The targets of a broadcast, page by page: the users of each enabled agent, and each enabled agent without users.

use af_domain::agent::Binding;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::push::BroadcastTarget;

use crate::agents::profiles;
use crate::{App, Result};

/// Targets of one page. A cancelled broadcast stops after the page that is being sent.
const PAGE: usize = 100;
/// Agents that are read for one page.
const AGENTS: i32 = 100;

/// A page of targets.
#[derive(Debug)]
pub(super) struct TargetPage {
    /// The targets, with the bindings of their users.
    pub targets: Vec<(BroadcastTarget, Option<Binding>)>,
    /// The place after them: a user of an agent, or an agent with which the broadcast is done.
    pub cursor: Option<BroadcastTarget>,
    /// Whether no target remains.
    pub is_last: bool,
}

/// Returns the targets after `cursor`. The indexes lag behind the table, so each binding is read.
pub(super) async fn after(app: &App, cursor: Option<&BroadcastTarget>) -> Result<TargetPage> {
    let mut found: Vec<BroadcastTarget> = Vec::new();
    let mut place = cursor.cloned();
    if let Some(BroadcastTarget { agent, user: Some(user) }) = cursor {
        let enabled = profiles::current(app, agent).await?.is_some_and(|profile| profile.enabled);
        let users = if enabled { users_of(app, agent, PAGE, Some(user)).await? } else { Vec::new() };
        place = Some(place_after(agent, &users, PAGE));
        found.extend(users.into_iter().map(|user| target(agent, Some(user))));
    }
    let mut is_last = false;
    if found.len() < PAGE {
        let agents = app.store.agents(AGENTS, place.as_ref().map(|place| place.agent.as_str())).await?;
        is_last = agents.len() < AGENTS as usize;
        for agent in agents {
            let room = PAGE - found.len();
            if room == 0 {
                is_last = false;
                break;
            }
            if !agent.enabled {
                place = Some(target(&agent.key, None));
                continue;
            }
            let users = users_of(app, &agent.key, room, None).await?;
            place = Some(place_after(&agent.key, &users, room));
            is_last &= place.as_ref().is_some_and(|place| place.user.is_none());
            match users.is_empty() {
                true => found.push(target(&agent.key, None)),
                false => found.extend(users.into_iter().map(|user| target(&agent.key, Some(user)))),
            }
        }
    }
    Ok(TargetPage { targets: with_bindings(app, found).await?, cursor: place, is_last })
}

fn target(agent: &AgentKey, user: Option<ConsumerUserId>) -> BroadcastTarget {
    BroadcastTarget { agent: agent.clone(), user }
}

/// Returns the place after these users, of whom at most `limit` were read.
fn place_after(agent: &AgentKey, users: &[ConsumerUserId], limit: usize) -> BroadcastTarget {
    let last = users.last().filter(|_| users.len() == limit);
    target(agent, last.cloned())
}

async fn users_of(
    app: &App,
    agent: &AgentKey,
    limit: usize,
    after: Option<&ConsumerUserId>,
) -> Result<Vec<ConsumerUserId>> {
    Ok(app.store.users_of_agent(agent, i32::try_from(limit).unwrap_or(i32::MAX), after).await?)
}

/// Adds the bindings. A user who is not bound to the agent any more is no target.
async fn with_bindings(
    app: &App,
    found: Vec<BroadcastTarget>,
) -> Result<Vec<(BroadcastTarget, Option<Binding>)>> {
    let users = found.iter().filter_map(|target| target.user.as_ref());
    let mut bindings = app.store.bindings_of_users(users).await?;
    let targets = found.into_iter().filter_map(|target| match &target.user {
        None => Some((target, None)),
        Some(user) => {
            let binding = bindings.remove(user).filter(|binding| binding.agent == target.agent)?;
            Some((target, Some(binding)))
        }
    });
    Ok(targets.collect())
}
