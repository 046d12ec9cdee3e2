//! Agent profiles and their bots.

use af_domain::agent::{AgentProfile, Bot, BotName};
use af_domain::bridge::BridgeConfig;
use af_domain::ids::{AgentKey, BotIdentity, SecretRef};
use af_domain::time::Timestamp;

use crate::expression::{Update, names_in};
use crate::item::{Item, Reader, Writer};
use crate::write::{Updated, queried};
use crate::{Result, Store, StoreError, keys};

/// Pages of 1 MB that are read to find all profiles with a bridge. This is enough for a thousand of the
/// largest profiles.
const MAX_PAGES: usize = 10;

/// The result of assigning a bot to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BotAssigned {
    /// The agent has the bot.
    Done,
    /// Another agent has the bot; nothing was written.
    BelongsTo(AgentKey),
    /// The agent does not exist.
    NoSuchAgent,
}

impl Store {
    /// Returns an agent profile, eventually consistent.
    pub async fn agent(&self, key: &AgentKey) -> Result<Option<AgentProfile>> {
        self.get(keys::agent(key), false).await?.as_ref().map(agent_from).transpose()
    }

    /// Returns an agent profile, strongly consistent, for a change of the profile.
    pub async fn agent_now(&self, key: &AgentKey) -> Result<Option<AgentProfile>> {
        self.get(keys::agent(key), true).await?.as_ref().map(agent_from).transpose()
    }

    /// Returns those of these agent profiles that exist, strongly consistent.
    pub async fn agents_now(&self, keys: &[&AgentKey]) -> Result<Vec<AgentProfile>> {
        let items = self.batch_get(keys.iter().map(|key| keys::agent(key)), true).await?;
        items.iter().map(agent_from).collect()
    }

    /// Writes the fields of an agent profile except its bot.
    pub async fn put_agent(&self, agent: &AgentProfile) -> Result<AgentProfile> {
        let refs = agent.secrets_ref.iter().map(|r| r.as_str().to_owned()).collect::<Vec<_>>();
        let update = Update::of(keys::agent(&agent.key))
            .set_or_remove("dn", agent.display_name.as_deref())
            .set("ver", agent.version.as_str())
            .set("en", agent.enabled)
            .set("sr", refs)
            .set_or_remove("br", agent.bridge.as_ref().map(bridge_item))
            .set("up", agent.updated_at);
        match self.update(update).await? {
            Updated::Done(item) => agent_from(&item),
            Updated::Refused(_) => {
                Err(StoreError::malformed(agent.key.as_str(), "refused without a condition"))
            }
        }
    }

    /// Deletes an agent profile and its bot. The conversations and messages of the agent are kept.
    pub async fn delete_agent(&self, agent: &AgentProfile) -> Result<()> {
        let mut transaction = self.transaction().delete(&keys::agent(&agent.key));
        if let Some(bot) = &agent.bot {
            transaction = transaction.delete(&keys::bot(&bot.identity));
        }
        self.commit(transaction).await.map(drop)
    }

    /// Returns one page of agent profiles ordered by key, starting after `after`.
    pub async fn agents(&self, limit: i32, after: Option<&str>) -> Result<Vec<AgentProfile>> {
        // A space sorts before every character of a key, so `after` followed by a space is the first position
        // after that key.
        let after = after.map_or_else(|| " ".to_owned(), |a| format!("{a} "));
        let values = [(":pk", keys::AGENTS.into()), (":after", after.into())];
        let query = self.query("#pk = :pk AND #sk > :after", values).limit(limit);
        queried(query).await?.items().iter().map(agent_from).collect()
    }

    /// Returns the enabled agents with a bridge; `None` if there are more profiles than the page limit allows
    /// to read.
    pub async fn agents_with_bridge(&self) -> Result<Option<Vec<AgentProfile>>> {
        let (mut found, mut after) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let query = self
                .query("#pk = :pk", [(":pk", keys::AGENTS.into()), (":yes", true.into())])
                .filter_expression("#en = :yes AND #br.#en = :yes")
                .set_expression_attribute_names(Some(names_in("#pk #en #br")))
                .set_exclusive_start_key(after);
            let page = queried(query).await?;
            for item in page.items() {
                found.push(agent_from(item)?);
            }
            after = page.last_evaluated_key;
            if after.is_none() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Returns a bot, eventually consistent.
    pub async fn bot(&self, identity: &BotIdentity) -> Result<Option<Bot>> {
        self.get(keys::bot(identity), false).await?.as_ref().map(bot_from).transpose()
    }

    /// Returns a bot, strongly consistent.
    pub async fn bot_now(&self, identity: &BotIdentity) -> Result<Option<Bot>> {
        self.get(keys::bot(identity), true).await?.as_ref().map(bot_from).transpose()
    }

    /// Assigns a bot to an agent, on condition that no other agent has it. `previous` is the agent's previous
    /// bot, which is deleted.
    pub async fn assign_bot_if_unclaimed(
        &self,
        agent: &AgentKey,
        bot: &BotName,
        previous: Option<&BotIdentity>,
        now: Timestamp,
    ) -> Result<BotAssigned> {
        let row = Update::of(keys::bot(&bot.identity))
            .set("ag", agent.as_str())
            .set("un", bot.username.as_str())
            .when("attribute_not_exists(#ag) OR #ag = :agent")
            .bind(":agent", agent.as_str());
        let profile = Update::of(keys::agent(agent))
            .set("bi", bot.identity.as_str())
            .set("bu", bot.username.as_str())
            .set("up", now)
            .when("attribute_exists(#pk)");
        let mut transaction = self.transaction().update(row).update(profile);
        if let Some(previous) = previous.filter(|p| **p != bot.identity) {
            transaction = transaction.delete(&keys::bot(previous));
        }
        let committed = self.commit(transaction).await?;
        if committed.is_done() {
            return Ok(BotAssigned::Done);
        }
        match committed.old_item(0) {
            Some(old) => Ok(BotAssigned::BelongsTo(Reader::of(old).id("ag", AgentKey::parse)?)),
            None => Ok(BotAssigned::NoSuchAgent),
        }
    }

    /// Sets the hash of a bot's webhook secret. The previous secret is accepted until `previous_until`.
    pub async fn rotate_webhook_secret(
        &self,
        bot: &Bot,
        hash: [u8; 32],
        previous_until: Timestamp,
    ) -> Result<()> {
        let mut update = Update::of(keys::bot(&bot.identity)).set("sh", hash).when("attribute_exists(#ag)");
        if let Some(old) = bot.secret_hash {
            update = update.set("ph", old).set("pu", previous_until);
        }
        self.update(update).await.map(drop)
    }

    /// Records when the webhook was last confirmed to point to this deployment's URL; `None` records that it
    /// does not.
    pub async fn webhook_ready(&self, identity: &BotIdentity, at: Option<Timestamp>) -> Result<()> {
        let update = Update::of(keys::bot(identity)).set_or_remove("ra", at).when("attribute_exists(#ag)");
        self.update(update).await.map(drop)
    }
}

fn agent_from(item: &Item) -> Result<AgentProfile> {
    let reader = Reader::of(item);
    let parse_ref = |r: &str| SecretRef::parse(r).map_err(|e| reader.malformed("sr", &e.to_string()));
    let bot = reader.id_if("bi", BotIdentity::parse)?.zip(reader.text_if("bu")?);
    Ok(AgentProfile {
        key: reader.id("sk", AgentKey::parse)?,
        display_name: reader.text_if("dn")?.map(str::to_owned),
        version: reader.text("ver")?.to_owned(),
        enabled: reader.flag("en"),
        secrets_ref: reader.texts("sr")?.into_iter().map(parse_ref).collect::<Result<_, _>>()?,
        bot: bot.map(|(identity, username)| BotName { identity, username: username.to_owned() }),
        bridge: reader.map_if("br")?.map(|bridge| bridge_from(&bridge)).transpose()?,
        updated_at: reader.time("up")?,
    })
}

fn bridge_item(bridge: &BridgeConfig) -> Item {
    Writer::default()
        .put("en", bridge.enabled)
        .put_some("url", bridge.base_url.as_deref())
        .put_some("sid", bridge.service_id.as_deref())
        .put_some("app", bridge.app_key.as_deref())
        .put_some("skr", bridge.service_key_ref.as_ref().map(SecretRef::as_str))
        .put_some("umr", bridge.base_url_map_ref.as_ref().map(SecretRef::as_str))
        .build()
}

fn bridge_from(reader: &Reader<'_>) -> Result<BridgeConfig> {
    let text = |name| Ok::<_, StoreError>(reader.text_if(name)?.map(str::to_owned));
    Ok(BridgeConfig {
        enabled: reader.flag("en"),
        base_url: text("url")?,
        service_id: text("sid")?,
        app_key: text("app")?,
        service_key_ref: reader.id_if("skr", SecretRef::parse)?,
        base_url_map_ref: reader.id_if("umr", SecretRef::parse)?,
    })
}

fn bot_from(item: &Item) -> Result<Bot> {
    let reader = Reader::of(item);
    Ok(Bot {
        identity: reader.id_after("BOT#", "pk", BotIdentity::parse)?,
        username: reader.text("un")?.to_owned(),
        agent: reader.id("ag", AgentKey::parse)?,
        secret_hash: reader.hash_if("sh"),
        previous_secret: reader.hash_if("ph").zip(reader.time_if("pu")?),
        ready_at: reader.time_if("ra")?,
    })
}
