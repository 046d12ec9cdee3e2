//! Pairing codes, and the counters of wrong codes.

use af_domain::agent::Binding;
use af_domain::ids::{AgentKey, BotIdentity, ConsumerUserId, PairingCode, TelegramUserId};
use af_domain::pairing::{
    CodeUpdate, MAX_WRONG_CODES, Pairing, PairingStatus, PairingUse, RETENTION, WRONG_CODES_WINDOW,
    WrongCodes,
};
use af_domain::time::Timestamp;

use crate::binding::bind;
use crate::expression::Update;
use crate::idempotency::IdempotentCall;
use crate::item::{Item, Reader, Writer};
use crate::keys;
use crate::outbox::NewEntry;
use crate::write::{Commit, queried};
use crate::{Result, Store, StoreError};

/// How often a wrong code is sent to its counter. After another update has begun the window, the second try counts.
const MAX_COUNT_TRIES: usize = 3;

/// The stored facts that decide about a code that a person has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentCode {
    /// The code, if it exists.
    pub pairing: Option<Pairing>,
    /// The wrong codes of the person.
    pub wrong: Option<WrongCodes>,
}

impl Store {
    /// Returns a pairing code, strongly consistent.
    pub async fn pairing(&self, code: &PairingCode, now: Timestamp) -> Result<Option<Pairing>> {
        let item = self.get(keys::pairing(code), true).await?;
        Ok(item.as_ref().map(|item| pairing_from(item, now)).transpose()?.flatten())
    }

    /// Returns the newest pairing code of a user and an agent, strongly consistent.
    pub async fn newest_pairing(
        &self,
        user: &ConsumerUserId,
        agent: &AgentKey,
        now: Timestamp,
    ) -> Result<Option<Pairing>> {
        let Some(item) = self.get(keys::newest_pairing(user, agent), true).await? else { return Ok(None) };
        self.pairing(&Reader::of(&item).id("co", PairingCode::parse)?, now).await
    }

    /// Returns the agents for which a user has a pairing code, each with its newest code. At most `limit` of them, by key.
    pub async fn newest_codes_of(
        &self,
        user: &ConsumerUserId,
        limit: i32,
        now: Timestamp,
    ) -> Result<Vec<(AgentKey, PairingCode)>> {
        let values = [(":pk", keys::binding(user).pk.into()), (":prefix", keys::NEWEST_PAIRINGS.into())];
        let query = self.query("#pk = :pk AND begins_with(#sk, :prefix)", values);
        let answer = queried(query.limit(limit).consistent_read(true)).await?;
        let mut codes = Vec::new();
        for item in answer.items() {
            let reader = Reader::of(item);
            if !reader.is_expired(now)? {
                let agent = reader.id_after(keys::NEWEST_PAIRINGS, "sk", AgentKey::parse)?;
                codes.push((agent, reader.id("co", PairingCode::parse)?));
            }
        }
        Ok(codes)
    }

    /// Returns those of these pairing codes that exist, strongly consistent.
    pub async fn pairings(&self, codes: &[&PairingCode], now: Timestamp) -> Result<Vec<Pairing>> {
        let items = self.batch_get(codes.iter().map(|code| keys::pairing(code)), true).await?;
        items.iter().filter_map(|item| pairing_from(item, now).transpose()).collect()
    }

    /// Returns a code that a person has sent, and the wrong codes of the person, in one read, strongly consistent.
    pub async fn sent_code(&self, code: &PairingCode, sent: &CodeUpdate, now: Timestamp) -> Result<SentCode> {
        let wanted = [keys::pairing(code), keys::wrong_codes(&sent.bot, &sent.user)];
        let mut found = SentCode { pairing: None, wrong: None };
        for item in &self.batch_get(wanted.into_iter(), true).await? {
            if Reader::of(item).text("sk")? == keys::ONLY {
                found.pairing = pairing_from(item, now)?;
            } else {
                found.wrong = wrong_codes_from(item, now)?;
            }
        }
        Ok(found)
    }

    /// Stores a new pairing code, which becomes the newest one of its user and agent. `previous` is the newest one until
    /// now, which expires if it is pending. With `once`, the call is recorded. It is stale if another code has become the
    /// newest one, the previous one was used meanwhile, or the call was carried out before.
    pub async fn create_pairing_if_newest(
        &self,
        pairing: &Pairing,
        previous: Option<&Pairing>,
        once: Option<&IdempotentCall>,
    ) -> Result<Commit> {
        let now = pairing.created_at;
        let key = keys::newest_pairing(&pairing.user, &pairing.agent);
        let newest =
            Writer::at(key.clone()).put("co", pairing.code.as_str()).put("ttl", ttl(pairing)).build();
        let mut transaction = self.transaction().put_new_at(pairing_item(pairing), now);
        transaction = match previous {
            Some(previous) => {
                let unchanged = Update::of(key).when_is("co", previous.code.as_str());
                transaction.put_when(newest, &unchanged)
            }
            None => transaction.put_new_at(newest, now),
        };
        if let Some(previous) = previous.filter(|previous| previous.status(now) == PairingStatus::Pending) {
            let expired = Update::of(keys::pairing(&previous.code))
                .set("ex", now)
                .when("attribute_exists(#pk) AND attribute_not_exists(#ua)");
            transaction = transaction.update(expired);
        }
        self.commit_or_stale(transaction.record_call(once, pairing.code.as_str())).await
    }

    /// Uses a pairing code and makes `binding`, in one transaction. It replaces `replaced`, as
    /// [`Store::bind_if_unchanged`] does. It is stale if the code is not pending any more, one of the bindings has
    /// changed, or the person has sent too many wrong codes. The notice tells the person.
    pub async fn pair_if_pending(
        &self,
        pairing: &Pairing,
        used: &PairingUse,
        binding: &Binding,
        replaced: &[Binding],
        notice: Option<&NewEntry>,
    ) -> Result<Commit> {
        let code = Update::of(keys::pairing(&pairing.code))
            .set("ua", used.at)
            .set("tu", used.user.as_str())
            .set("tc", used.chat.as_str())
            .when("attribute_not_exists(#ua) AND #ex > :now")
            .bind(":now", used.at);
        let unlocked = Update::of(keys::wrong_codes(&pairing.bot, &used.user))
            .when("attribute_not_exists(#n) OR #n < :max OR #ex <= :now")
            .bind(":max", MAX_WRONG_CODES)
            .bind(":now", used.at);
        let transaction = self.transaction().update(code).require(&unlocked);
        let committed = self.commit_and_notify(bind(transaction, binding, replaced), notice).await?;
        Ok(if committed.is_done() { Commit::Done } else { Commit::Stale })
    }

    /// Counts a wrong code of a person, once for each update. A new window begins when the last one has ended. The
    /// notice tells the person.
    pub async fn count_wrong_code(
        &self,
        sent: &CodeUpdate,
        now: Timestamp,
        notice: Option<&NewEntry>,
    ) -> Result<()> {
        let (key, until) = (keys::wrong_codes(&sent.bot, &sent.user), now + WRONG_CODES_WINDOW);
        let in_window = Update::of(key.clone())
            .set_to("n", "#n + :one")
            .set("lu", sent.update)
            .when("#ex > :now AND #lu <> :update")
            .bind(":one", 1_u32)
            .bind(":update", sent.update)
            .bind(":now", now);
        let first = Update::of(key)
            .set("n", 1_u32)
            .set("lu", sent.update)
            .set("ex", until)
            .set("ttl", until.as_ttl())
            .when("attribute_not_exists(#ex) OR #ex <= :now")
            .bind(":now", now);
        for _ in 0..MAX_COUNT_TRIES {
            let counted = self.transaction().update(in_window.clone());
            let counted = self.commit_and_notify(counted, notice).await?;
            if counted.is_done() {
                return Ok(());
            }
            let window = counted.old_item(0).map(|item| wrong_codes_from(item, now)).transpose()?.flatten();
            if window.is_some_and(|wrong| now < wrong.until) {
                return Ok(());
            }
            let begun = self.transaction().update(first.clone());
            if self.commit_and_notify(begun, notice).await?.is_done() {
                return Ok(());
            }
        }
        Err(StoreError::Contention("TransactWriteItems"))
    }
}

fn ttl(pairing: &Pairing) -> u64 {
    (pairing.expires_at + RETENTION).as_ttl()
}

fn pairing_item(pairing: &Pairing) -> Item {
    Writer::at(keys::pairing(&pairing.code))
        .put("co", pairing.code.as_str())
        .put("u", pairing.user.as_str())
        .put("ag", pairing.agent.as_str())
        .put("tb", pairing.bot.as_str())
        .put("at", pairing.created_at)
        .put("ex", pairing.expires_at)
        .put("ttl", ttl(pairing))
        .build()
}

fn pairing_from(item: &Item, now: Timestamp) -> Result<Option<Pairing>> {
    let reader = Reader::of(item);
    if reader.is_expired(now)? {
        return Ok(None);
    }
    let used = match reader.time_if("ua")? {
        Some(at) => Some(PairingUse {
            at,
            user: reader.id("tu", TelegramUserId::parse)?,
            chat: reader.id("tc", TelegramUserId::parse)?,
        }),
        None => None,
    };
    Ok(Some(Pairing {
        code: reader.id("co", PairingCode::parse)?,
        user: reader.id("u", ConsumerUserId::parse)?,
        agent: reader.id("ag", AgentKey::parse)?,
        bot: reader.id("tb", BotIdentity::parse)?,
        created_at: reader.time("at")?,
        expires_at: reader.time("ex")?,
        used,
    }))
}

fn wrong_codes_from(item: &Item, now: Timestamp) -> Result<Option<WrongCodes>> {
    let reader = Reader::of(item);
    if reader.is_expired(now)? {
        return Ok(None);
    }
    let count = u32::try_from(reader.number("n")?).map_err(|_| reader.malformed("n", "too large"))?;
    Ok(Some(WrongCodes { count, until: reader.time("ex")?, last_update: reader.number("lu")? }))
}
