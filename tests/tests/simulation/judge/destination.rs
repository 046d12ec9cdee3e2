//! Nothing of one user reaches the chat of another, an agent that is stopped starts no run, and a user who is bound to
//! another agent gets no answer of the old one. The items of chats and of the agent say what was true when.

use std::collections::BTreeMap;

use serde_json::Value;

use super::policy::MAX_COPY_AGE_MS;
use super::{Check, Judge};
use crate::answers::Delivered;
use crate::bindings::bot_of;
use crate::faults::MAX_BEHIND;
use crate::world::{AGENT, CHECK_INTERVAL, World};

/// What was true from a moment on: each change with the time of the check that has seen it, ms.
struct Periods<T>(Vec<(u64, T)>);

impl<T> Default for Periods<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Periods<T> {
    /// Each state, with the first and the last moment at which it may have been true.
    fn possible(&self) -> impl Iterator<Item = (u64, u64, &T)> {
        self.ends().map(|(from, until, state)| (from.saturating_sub(interval()), until, state))
    }

    /// Each state, with the first and the last moment at which it was certainly true.
    fn certain(&self) -> impl Iterator<Item = (u64, u64, &T)> {
        self.ends().map(|(from, until, state)| (from, until.saturating_sub(interval()), state))
    }

    fn ends(&self) -> impl Iterator<Item = (u64, u64, &T)> {
        let until = self.0.iter().skip(1).map(|(at, _)| *at).chain([u64::MAX]);
        self.0.iter().zip(until).map(|((from, state), until)| (*from, until, state))
    }
}

fn interval() -> u64 {
    u64::try_from(CHECK_INTERVAL.as_millis()).unwrap()
}

/// The user and the agent of a chat.
type Owner = Option<(String, String)>;

/// The state of the agent.
#[derive(Clone, Copy, PartialEq)]
enum Agent {
    Runs,
    Disabled,
    Deleted,
}

/// The bindings of chats and the state of the agent over time.
#[derive(Default)]
pub struct Destinations {
    /// By the keys of the chat's item.
    chats: BTreeMap<(String, String), Periods<Owner>>,
    agent: Periods<Agent>,
    /// The agent that each user is bound to.
    users: BTreeMap<String, Periods<Option<String>>>,
}

impl Destinations {
    pub fn chat_changed(&mut self, now: u64, bot: &str, chat: &str, image: &Value) {
        let text = |name: &str| image[name]["S"].as_str().map(str::to_owned);
        let periods = self.chats.entry((bot.to_owned(), chat.to_owned())).or_default();
        periods.0.push((now, text("u").zip(text("ag"))));
    }

    pub fn user_changed(&mut self, now: u64, pk: &str, image: &Value) {
        let user = pk.trim_start_matches("U#").to_owned();
        self.users.entry(user).or_default().0.push((now, image["ag"]["S"].as_str().map(str::to_owned)));
    }

    /// Whether the user certainly was bound to the agent for so long.
    pub(super) fn was_bound(&self, user: &str, agent: &str, from: u64, until: u64) -> bool {
        let is_bound = |(began, ended, to): (u64, u64, &Option<String>)| {
            to.as_deref() == Some(agent) && began <= from && until <= ended
        };
        self.users.get(user).is_some_and(|periods| periods.certain().any(is_bound))
    }

    /// Whether the user may have been bound to the agent at some moment of this time.
    pub(super) fn may_have_been_bound(&self, user: &str, agent: &str, from: u64, until: u64) -> bool {
        let is_bound = |(began, ended, to): (u64, u64, &Option<String>)| {
            to.as_deref() == Some(agent) && began <= until && from <= ended
        };
        self.users.get(user).is_some_and(|periods| periods.possible().any(is_bound))
    }

    /// Whether the agent certainly ran for so long, and every function knew it.
    pub(super) fn agent_ran(&self, from: u64, until: u64) -> bool {
        self.was_known_as(Agent::Runs, from, until)
    }

    pub fn agent_changed(&mut self, now: u64, image: &Value) {
        let state = match image["en"]["BOOL"].as_bool() {
            None => Agent::Deleted,
            Some(true) => Agent::Runs,
            Some(false) => Agent::Disabled,
        };
        self.agent.0.push((now, state));
    }

    /// Whether the agent was in this state until `until`, and since so long before `at` that every function knew it.
    fn was_known_as(&self, state: Agent, at: u64, until: u64) -> bool {
        let known = |(from, ended, s): (u64, u64, &Agent)| {
            *s == state && from + MAX_COPY_AGE_MS <= at && until <= ended
        };
        self.agent.certain().any(known)
    }

    /// Whether the chat certainly was this user's of the agent, also for functions that read late, for so long.
    pub(super) fn was_chat_of(&self, chat: &str, user: &str, asked: u64, answered: u64) -> bool {
        let late = u64::try_from(MAX_BEHIND.as_millis()).unwrap();
        let is_theirs = |(from, until, owner): (u64, u64, &Owner)| {
            let owner = owner.as_ref().is_some_and(|(u, agent)| u == user && agent == AGENT);
            owner && from + late <= asked && until >= answered
        };
        let periods = self.chats.get(&(format!("BOT#{}", bot_of(AGENT)), format!("C#{chat}")));
        periods.is_some_and(|periods| periods.certain().any(is_theirs))
    }

    /// Checks a message that was handed to a worker.
    pub(super) fn check(&self, delivered: &Delivered) -> Check {
        let Delivered { message, user, agent, target, asked, answered, .. } = delivered;
        if let Some(chat) = target {
            let periods = self.chats.get(&(format!("BOT#{}", bot_of(agent)), format!("C#{chat}")));
            let is_theirs = |(from, until, owner): (u64, u64, &Owner)| {
                from <= *answered && until >= *asked && owner.as_ref().is_some_and(|(u, _)| u == user)
            };
            if !periods.is_some_and(|periods| periods.possible().any(is_theirs)) {
                return Err(format!(
                    "{message}: the reply goes to a chat that is not the user's: {delivered:?}"
                ));
            }
        }
        let is_elsewhere = |(from, until, owner): (u64, u64, &Owner)| {
            let bound = owner.as_ref().is_some_and(|(u, to)| u == user && to != agent);
            bound && from <= *asked && until >= *answered
        };
        if self.chats.values().flat_map(Periods::certain).any(is_elsewhere) {
            return Err(format!("{message}: the user is bound to another agent: {delivered:?}"));
        }
        if agent == AGENT && self.was_known_as(Agent::Deleted, *asked, *answered) {
            return Err(format!("{message}: the agent was deleted: {delivered:?}"));
        }
        Ok(())
    }
}

impl Judge {
    pub(super) fn deliveries(&mut self, world: &World) -> Check {
        let delivered: Vec<_> = world.answers.delivered.lock().unwrap().drain(..).collect();
        delivered.iter().try_for_each(|delivered| {
            self.text(delivered)?;
            self.destinations.check(delivered)
        })
    }

    /// Whether no function may claim for the agent at `at`.
    pub(super) fn is_agent_disabled(&self, at: u64) -> bool {
        self.destinations.was_known_as(Agent::Disabled, at, at)
    }
}
