//! Links with which people create managed bots, and the bots that they have created.
//!
//! A link is used, and its bot stored, in one transaction. A bot that is due is in the ready index, in the partition of the
//! outboxes, so that one query finds all work of effects that time makes due. Each change of a bot requires that the bot is
//! as it was read, so of two calls that begin to work on it, one is stale.

use std::collections::BTreeMap;

use af_domain::agent::Binding;
use af_domain::ids::{AgentKey, BotIdentity, BotUsername, ConsumerUserId, TelegramUserId};
use af_domain::managed_bot::{BotLink, FAILED_RETENTION, ManagedBot, ManagedBotState};
use af_domain::pairing::RETENTION;
use af_domain::time::Timestamp;

use crate::binding::bind;
use crate::expression::Update;
use crate::idempotency::IdempotentCall;
use crate::item::{Item, Reader, Writer};
use crate::keys;
use crate::write::{Commit, Committed};
use crate::{Result, Store};

/// The stored items about the bot of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBot {
    /// The bot, if it was created with a link.
    pub bot: Option<ManagedBot>,
    /// The link with the user name of the bot.
    pub link: Option<BotLink>,
}

impl Store {
    /// Returns a link, strongly consistent.
    pub async fn bot_link(&self, username: &BotUsername, now: Timestamp) -> Result<Option<BotLink>> {
        let item = self.get(keys::bot_link(username), true).await?;
        Ok(item.as_ref().map(|item| link_from(item, now)).transpose()?.flatten())
    }

    /// Returns the newest link of a user and an agent, strongly consistent.
    pub async fn newest_bot_link(
        &self,
        user: &ConsumerUserId,
        agent: &AgentKey,
        now: Timestamp,
    ) -> Result<Option<BotLink>> {
        let Some(item) = self.get(keys::newest_bot_link(user, agent), true).await? else { return Ok(None) };
        self.bot_link(&Reader::of(&item).id("un", BotUsername::parse)?, now).await
    }

    /// Returns a managed bot, strongly consistent.
    pub async fn managed_bot(&self, identity: &BotIdentity, now: Timestamp) -> Result<Option<ManagedBot>> {
        let item = self.get(keys::managed_bot(identity), true).await?;
        Ok(item.as_ref().map(|item| bot_from(item, now)).transpose()?.flatten())
    }

    /// Returns the bot of an update and the link with its user name, in one read, strongly consistent.
    pub async fn known_bot(
        &self,
        identity: &BotIdentity,
        username: Option<&BotUsername>,
        now: Timestamp,
    ) -> Result<KnownBot> {
        let bot = keys::managed_bot(identity);
        let wanted = [bot.clone()].into_iter().chain(username.map(keys::bot_link));
        let mut known = KnownBot { bot: None, link: None };
        for item in &self.batch_get(wanted, true).await? {
            if Reader::of(item).text("pk")? == bot.pk {
                known.bot = bot_from(item, now)?;
            } else {
                known.link = link_from(item, now)?;
            }
        }
        Ok(known)
    }

    /// Stores a new link, which becomes the newest one of its user and agent. `previous` is the newest one until now, which
    /// expires if it is not used. With `once`, the call is recorded. It is stale if another link has become the newest one,
    /// the previous one was used meanwhile, or the call was carried out before.
    pub async fn create_bot_link_if_newest(
        &self,
        link: &BotLink,
        previous: Option<&BotLink>,
        once: Option<&IdempotentCall>,
    ) -> Result<Commit> {
        let now = link.created_at;
        let key = keys::newest_bot_link(&link.user, &link.agent);
        let newest =
            Writer::at(key.clone()).put("un", link.username.as_str()).put("ttl", link_ttl(link)).build();
        let mut transaction = self.transaction().put_new_at(link_item(link), now);
        transaction = match previous {
            Some(previous) => {
                let unchanged = Update::of(key).when_is("un", previous.username.as_str());
                transaction.put_when(newest, &unchanged)
            }
            None => transaction.put_new_at(newest, now),
        };
        if let Some(previous) = previous.filter(|link| link.bot.is_none() && now < link.expires_at) {
            let expired = Update::of(keys::bot_link(&previous.username))
                .set("ex", now)
                .when("attribute_exists(#pk) AND attribute_not_exists(#bi)");
            transaction = transaction.update(expired);
        }
        self.commit_or_stale(transaction.record_call(once, link.username.as_str())).await
    }

    /// Uses a link and stores the bot that was created with it, in one transaction. It is stale if the link is used, expired
    /// or gone, or the bot is stored.
    pub async fn use_bot_link_if_pending(
        &self,
        link: &BotLink,
        bot: &ManagedBot,
        now: Timestamp,
    ) -> Result<Commit> {
        let used = Update::of(keys::bot_link(&link.username))
            .set("bi", bot.identity.as_str())
            .when("attribute_not_exists(#bi) AND #ex > :now")
            .bind(":now", now);
        self.commit_or_stale(self.transaction().update(used).put_new_at(bot_item(bot), now)).await
    }

    /// Changes a managed bot. It is stale if the bot has changed since it was read. A repetition of a change that was
    /// carried out is done.
    pub async fn change_managed_bot_if_unchanged(
        &self,
        before: &ManagedBot,
        after: &ManagedBot,
        now: Timestamp,
    ) -> Result<Commit> {
        let committed = self.commit(self.transaction().put_when(bot_item(after), &unchanged(before))).await?;
        let current = committed.old_item(0).map(|item| bot_from(item, now)).transpose()?.flatten();
        Ok(match committed {
            Committed::Refused(_) if current.as_ref() != Some(after) => Commit::Stale,
            Committed::Done | Committed::Refused(_) => Commit::Done,
        })
    }

    /// Ends the connection of a managed bot with the binding of its creator, in one transaction. It replaces `replaced`, as
    /// [`Store::bind_if_unchanged`] does. It is stale if the bot or one of the bindings has changed since it was read.
    pub async fn connect_managed_bot_if_unchanged(
        &self,
        before: &ManagedBot,
        after: &ManagedBot,
        binding: &Binding,
        replaced: &[Binding],
    ) -> Result<Commit> {
        let connected = self.transaction().put_when(bot_item(after), &unchanged(before));
        self.commit_or_stale(bind(connected, binding, replaced)).await
    }
}

/// The managed bot of a stream record that is due at `now`; `None` for other records.
pub fn due_managed_bot(
    image: Option<&BTreeMap<String, serde_json::Value>>,
    now: Timestamp,
) -> Option<BotIdentity> {
    let text = |name: &str| image?.get(name)?.get("S")?.as_str();
    let bot = managed_bot_at(text("pk")?)?;
    let due_at = text("rk")?.parse().map(Timestamp::from_millis).ok()?;
    (due_at <= now).then_some(bot)
}

/// The managed bot with this partition key; `None` for the partition of another item.
pub(crate) fn managed_bot_at(pk: &str) -> Option<BotIdentity> {
    BotIdentity::parse(pk.strip_prefix(keys::MANAGED_BOT_PREFIX)?).ok()
}

/// Requires that the bot is as it was read.
fn unchanged(bot: &ManagedBot) -> Update {
    let update = Update::of(keys::managed_bot(&bot.identity))
        .when_is("st", state_name(&bot.state))
        .when_is("lu", bot.last_update);
    let update = match bot.due_at {
        Some(due) => update.when_is("rk", keys::outbox_due(due)),
        None => update.when("attribute_not_exists(#rk)"),
    };
    match &bot.worker {
        Some(worker) => update.when_is("w", worker.as_str()),
        None => update.when("attribute_not_exists(#w)"),
    }
}

fn link_ttl(link: &BotLink) -> u64 {
    (link.expires_at + RETENTION).as_ttl()
}

fn link_item(link: &BotLink) -> Item {
    Writer::at(keys::bot_link(&link.username))
        .put("un", link.username.as_str())
        .put("nm", link.name.as_str())
        .put("mg", link.manager.as_str())
        .put("mu", link.manager_username.as_str())
        .put("u", link.user.as_str())
        .put("ag", link.agent.as_str())
        .put("rb", link.replace)
        .put("url", link.public_url.as_str())
        .put("at", link.created_at)
        .put("ex", link.expires_at)
        .put("ttl", link_ttl(link))
        .build()
}

fn link_from(item: &Item, now: Timestamp) -> Result<Option<BotLink>> {
    let reader = Reader::of(item);
    if reader.is_expired(now)? {
        return Ok(None);
    }
    Ok(Some(BotLink {
        username: reader.id("un", BotUsername::parse)?,
        name: reader.text("nm")?.to_owned(),
        manager: reader.id("mg", BotIdentity::parse)?,
        manager_username: reader.text("mu")?.to_owned(),
        user: reader.id("u", ConsumerUserId::parse)?,
        agent: reader.id("ag", AgentKey::parse)?,
        replace: reader.flag("rb"),
        public_url: reader.text("url")?.to_owned(),
        created_at: reader.time("at")?,
        expires_at: reader.time("ex")?,
        bot: reader.id_if("bi", BotIdentity::parse)?,
    }))
}

const CONNECTING: &str = "connecting";
const CONNECTED: &str = "connected";
const FAILED: &str = "failed";

const fn state_name(state: &ManagedBotState) -> &'static str {
    match state {
        ManagedBotState::Connecting => CONNECTING,
        ManagedBotState::Connected => CONNECTED,
        ManagedBotState::Failed { .. } => FAILED,
    }
}

fn bot_item(bot: &ManagedBot) -> Item {
    let reason = match &bot.state {
        ManagedBotState::Failed { reason } => Some(reason.as_str()),
        ManagedBotState::Connecting | ManagedBotState::Connected => None,
    };
    let ttl = reason.map(|_| (bot.due_since + FAILED_RETENTION).as_ttl());
    Writer::at(keys::managed_bot(&bot.identity))
        .put("un", bot.username.as_str())
        .put("mg", bot.manager.as_str())
        .put("tu", bot.creator.as_str())
        .put("u", bot.user.as_str())
        .put("ag", bot.agent.as_str())
        .put("rb", bot.replace)
        .put("url", bot.public_url.as_str())
        .put("st", state_name(&bot.state))
        .put_some("re", reason)
        .put_some("rp", bot.due_at.map(|_| keys::OUTBOXES))
        .put_some("rk", bot.due_at.map(keys::outbox_due))
        .put_some("w", bot.worker.as_deref())
        .put("n", bot.tries)
        .put("at", bot.due_since)
        .put("lu", bot.last_update)
        .put_some("ttl", ttl)
        .build()
}

fn bot_from(item: &Item, now: Timestamp) -> Result<Option<ManagedBot>> {
    let reader = Reader::of(item);
    if reader.is_expired(now)? {
        return Ok(None);
    }
    let pk = reader.text("pk")?;
    let state = match reader.text("st")? {
        CONNECTING => ManagedBotState::Connecting,
        CONNECTED => ManagedBotState::Connected,
        FAILED => ManagedBotState::Failed { reason: reader.text("re")?.to_owned() },
        _ => return Err(reader.malformed("st", "not a state")),
    };
    let due_at = match reader.text_if("rk")? {
        Some(due) => {
            let due = due.parse().map_err(|_| reader.malformed("rk", "not a time"))?;
            Some(Timestamp::from_millis(due))
        }
        None => None,
    };
    Ok(Some(ManagedBot {
        identity: managed_bot_at(pk).ok_or_else(|| reader.malformed("pk", "not a bot"))?,
        username: reader.text("un")?.to_owned(),
        manager: reader.id("mg", BotIdentity::parse)?,
        creator: reader.id("tu", TelegramUserId::parse)?,
        user: reader.id("u", ConsumerUserId::parse)?,
        agent: reader.id("ag", AgentKey::parse)?,
        replace: reader.flag("rb"),
        public_url: reader.text("url")?.to_owned(),
        state,
        due_at,
        worker: reader.text_if("w")?.map(str::to_owned),
        tries: u32::try_from(reader.number("n")?).unwrap_or(u32::MAX),
        due_since: reader.time("at")?,
        last_update: reader.number("lu")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_managed_bot_survives_being_stored_in_every_state() {
        let bot = ManagedBot {
            identity: BotIdentity::parse("8").unwrap(),
            username: "Ann_bot".into(),
            manager: BotIdentity::parse("7").unwrap(),
            creator: TelegramUserId::parse("42").unwrap(),
            user: ConsumerUserId::parse("ann").unwrap(),
            agent: AgentKey::parse("support").unwrap(),
            replace: true,
            public_url: "https://a.example".into(),
            state: ManagedBotState::Connecting,
            due_at: Some(Timestamp::from_millis(5)),
            worker: Some("w".into()),
            tries: 3,
            due_since: Timestamp::from_millis(4),
            last_update: 9,
        };
        let connected =
            ManagedBot { state: ManagedBotState::Connected, due_at: None, worker: None, ..bot.clone() };
        let failed =
            ManagedBot { state: ManagedBotState::Failed { reason: "no".into() }, ..connected.clone() };
        let now = Timestamp::from_millis(6);
        for bot in [bot, connected, failed.clone()] {
            assert_eq!(bot_from(&bot_item(&bot), now).unwrap(), Some(bot));
        }
        assert_eq!(bot_from(&bot_item(&failed), now + FAILED_RETENTION + FAILED_RETENTION).unwrap(), None);
    }
}
