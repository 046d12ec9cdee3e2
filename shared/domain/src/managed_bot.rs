//! Managed bots: a person creates a bot with a link of the deployment's manager bot, and the deployment connects it.
//!
//! The link suggests a user name that contains a random code, and Telegram reports the user name of the new bot. So the
//! code shows which user and agent the bot is for. The states of a managed bot:
//!
//! ```text
//! (link opened) → connecting → connected
//!                     └──────────┴──→ failed
//! ```
//!
//! A bot that is due is connected, or gets its token again, by one worker at a time ([`ManagedBot::worked_on_by`]).

use std::fmt::Write;

use crate::ids::{AgentKey, BotIdentity, BotUsername, ConsumerUserId, TelegramUserId};
use crate::named_enum;
use crate::time::{Millis, Timestamp};

/// How long one call may take to connect a bot. It is longer than all timeouts of its calls to Telegram together.
pub const WORK_TIME: Millis = Millis::from_secs(60);
/// How long a bot is tried again before it counts as failed.
pub const MAX_WAIT: Millis = Millis::from_days(1);
/// The first wait after a failed try. Each further one is twice as long, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Millis = Millis::from_secs(5);
/// The longest of these waits.
const LONGEST_WAIT: Millis = Millis::from_secs(300);
/// How long a bot that could not be connected is shown.
pub const FAILED_RETENTION: Millis = Millis::from_days(30);

/// The longest user name of a bot on Telegram.
const MAX_USERNAME_CHARS: usize = 32;
/// The longest display name of a bot on Telegram.
pub const MAX_NAME_CHARS: usize = 64;
/// Digits and letters without 0, 1, i and o, which look like each other.
const ALPHABET: &[u8; 32] = b"23456789abcdefghjklmnpqrstuvwxyz";
/// Characters of the code: 50 random bits.
const CODE_CHARS: usize = 10;
/// The end of every user name of a bot.
const SUFFIX: &str = "_bot";

impl BotUsername {
    /// Makes a user name for a bot of `agent` that contains the lower 50 bits of `random`.
    pub fn suggested(agent: &AgentKey, random: u64) -> Self {
        let index = |place: usize| usize::try_from((random >> (5 * place)) % 32).expect("less than 32");
        let code: String = (0..CODE_CHARS).map(|place| char::from(ALPHABET[index(place)])).collect();
        let max = MAX_USERNAME_CHARS - CODE_CHARS - SUFFIX.len() - 1;
        let words: Vec<&str> =
            agent.as_str().split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
        let mut slug = words.join("_").to_ascii_lowercase();
        if !slug.starts_with(|c: char| c.is_ascii_lowercase()) {
            slug.insert_str(0, "agent_");
        }
        slug.truncate(max);
        let slug = slug.trim_end_matches('_');
        Self::parse(format!("{slug}_{code}{SUFFIX}")).expect("letters, digits and underscores")
    }
}

/// A link with which a person creates a bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotLink {
    /// The user name that the link suggests. No other link has it.
    pub username: BotUsername,
    /// The display name that the link suggests.
    pub name: String,
    /// The manager bot of the link.
    pub manager: BotIdentity,
    /// The user name of the manager bot.
    pub manager_username: String,
    /// The user that the person is bound to.
    pub user: ConsumerUserId,
    /// The agent that gets the bot.
    pub agent: AgentKey,
    /// Whether the bot replaces the bot that the agent has.
    pub replace: bool,
    /// The URL of the deployment, for the webhook of the bot.
    pub public_url: String,
    /// When the link was made.
    pub created_at: Timestamp,
    /// When the link expires. A newer link for the same user and agent expires it at once.
    pub expires_at: Timestamp,
    /// The bot that was created with it.
    pub bot: Option<BotIdentity>,
}

named_enum! {
    /// How far a managed bot is.
    pub enum BotLinkStatus {
        /// The person can open the link.
        Pending = "pending",
        /// The person has created the bot, and the deployment connects it.
        Connecting = "connecting",
        /// The agent has the bot, and the person is bound to the user.
        Connected = "connected",
        /// The bot cannot be connected.
        Failed = "failed",
        /// The link was not used in time, or a newer link has replaced it.
        Expired = "expired",
    }
}

impl BotLink {
    /// The address of the link.
    pub fn address(&self) -> String {
        let mut name = String::new();
        for byte in self.name.bytes() {
            match byte {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                    name.push(char::from(byte))
                }
                byte => write!(name, "%{byte:02X}").expect("a string takes everything"),
            }
        }
        format!("https://t.me/newbot/{}/{}?name={name}", self.manager_username, self.username)
    }

    /// The status at `now`. `bot` is the bot that was created with the link.
    pub fn status(&self, bot: Option<&ManagedBot>, now: Timestamp) -> BotLinkStatus {
        match (bot.map(|bot| &bot.state), &self.bot) {
            (Some(ManagedBotState::Connected), _) => BotLinkStatus::Connected,
            (Some(ManagedBotState::Failed { .. }), _) => BotLinkStatus::Failed,
            (Some(ManagedBotState::Connecting), _) | (None, Some(_)) => BotLinkStatus::Connecting,
            (None, None) if now < self.expires_at => BotLinkStatus::Pending,
            (None, None) => BotLinkStatus::Expired,
        }
    }
}

/// The state of a managed bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagedBotState {
    /// The agent does not have the bot yet.
    Connecting,
    /// The agent has the bot, and its creator is bound to the user.
    Connected,
    /// The bot cannot be connected, or is no longer the bot of its agent.
    Failed {
        /// The reason.
        reason: String,
    },
}

/// A bot that a person has created with a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedBot {
    /// The numeric bot id.
    pub identity: BotIdentity,
    /// The user name of the bot.
    pub username: String,
    /// The bot that manages it.
    pub manager: BotIdentity,
    /// The person who created it. Another owner does not change the binding.
    pub creator: TelegramUserId,
    /// The user that the person is bound to.
    pub user: ConsumerUserId,
    /// The agent that gets the bot.
    pub agent: AgentKey,
    /// Whether the bot replaces the bot that the agent has.
    pub replace: bool,
    /// The URL of the deployment, for the webhook of the bot.
    pub public_url: String,
    /// The state.
    pub state: ManagedBotState,
    /// When the bot is to be connected, or its token to be fetched again; `None` if there is nothing to do.
    pub due_at: Option<Timestamp>,
    /// A random text that identifies the call that works on the bot until `due_at`.
    pub worker: Option<String>,
    /// The failed tries since the bot became due.
    pub tries: u32,
    /// Since when the bot is due.
    pub due_since: Timestamp,
    /// The last update about the bot.
    pub last_update: u64,
}

impl ManagedBot {
    /// The bot that the person `creator` has created with `link`, as `update` reports it.
    pub fn created_with(link: &BotLink, created: &CreatedBot, update: u64, now: Timestamp) -> Self {
        Self {
            identity: created.identity.clone(),
            username: created.username.clone(),
            manager: link.manager.clone(),
            creator: created.creator.clone(),
            user: link.user.clone(),
            agent: link.agent.clone(),
            replace: link.replace,
            public_url: link.public_url.clone(),
            state: ManagedBotState::Connecting,
            due_at: Some(now),
            worker: None,
            tries: 0,
            due_since: now,
            last_update: update,
        }
    }

    /// Whether a call may begin to work on the bot at `now`.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.due_at.is_some_and(|due| due <= now)
    }

    /// Whether a call works on the bot at `now`.
    pub fn is_worked_on(&self, now: Timestamp) -> bool {
        self.worker.is_some() && self.due_at.is_some_and(|due| due > now)
    }

    /// The bot after the call `worker` has begun to work on it. When that call dies, the bot is due again.
    #[must_use]
    pub fn worked_on_by(&self, worker: &str, now: Timestamp) -> Self {
        let due_since = if self.due_at.is_some() { self.due_since } else { now };
        Self { due_at: Some(now + WORK_TIME), worker: Some(worker.to_owned()), due_since, ..self.clone() }
    }

    /// The bot after an update has reported a new token or owner.
    #[must_use]
    pub fn reported_by(&self, update: u64, now: Timestamp) -> Self {
        let due_since = if self.due_at.is_some() { self.due_since } else { now };
        let due_at = self.due_at.or(Some(now));
        Self { due_at, due_since, last_update: update, ..self.clone() }
    }

    /// The bot after its work has ended. `begun` is the bot as the work began: an update since then makes it due again.
    #[must_use]
    pub fn ended(&self, state: ManagedBotState, begun: &Self, now: Timestamp) -> Self {
        let is_over =
            self.last_update == begun.last_update || matches!(state, ManagedBotState::Failed { .. });
        let due_at = if is_over { None } else { Some(now) };
        Self { state, due_at, worker: None, tries: 0, due_since: now, ..self.clone() }
    }

    /// The bot after a try has failed for `reason`. It is tried again after a growing wait, and not before `asked`. After a
    /// day it has failed.
    #[must_use]
    pub fn waiting(&self, reason: &str, asked: Option<Millis>, now: Timestamp) -> Self {
        let backoff =
            Millis::new(FIRST_WAIT.as_millis().saturating_mul(1 << self.tries.min(10))).min(LONGEST_WAIT);
        let again = now + asked.unwrap_or_default().max(backoff);
        if again > self.due_since + MAX_WAIT {
            let reason = format!("{reason}; it was tried for a day");
            return self.ended(ManagedBotState::Failed { reason }, self, now);
        }
        Self { due_at: Some(again), worker: None, tries: self.tries.saturating_add(1), ..self.clone() }
    }
}

/// A bot as the update `managed_bot` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedBot {
    /// The numeric bot id.
    pub identity: BotIdentity,
    /// The user name of the bot.
    pub username: String,
    /// The person who has created the bot, or owns it now.
    pub creator: TelegramUserId,
}

/// The decision on an update about a managed bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The link is used: the bot is to be connected.
    Connect(ManagedBot),
    /// The token of the bot may have changed: it is to be fetched again.
    FetchAgain(ManagedBot),
    /// The update was handled before.
    Repeated,
    /// No link of this manager bot has the user name of the bot, or the link belongs to another bot.
    NoLink,
    /// The link has expired.
    Expired,
    /// The bot could not be connected before.
    Failed,
}

/// Decides on an update that the bot `manager` has received. `known` is the bot of the update, if it was created with a
/// link, and `link` the link with its user name.
pub fn decide(
    manager: &BotIdentity,
    created: &CreatedBot,
    update: u64,
    known: Option<&ManagedBot>,
    link: Option<&BotLink>,
    now: Timestamp,
) -> Decision {
    if let Some(known) = known.filter(|known| known.manager == *manager) {
        return match &known.state {
            _ if known.last_update == update => Decision::Repeated,
            ManagedBotState::Failed { .. } => Decision::Failed,
            _ => Decision::FetchAgain(known.reported_by(update, now)),
        };
    }
    match link.filter(|link| link.manager == *manager && link.bot.is_none() && known.is_none()) {
        Some(link) if now < link.expires_at => {
            Decision::Connect(ManagedBot::created_with(link, created, update, now))
        }
        Some(_) => Decision::Expired,
        None => Decision::NoLink,
    }
}

#[cfg(test)]
mod tests;
