//! Identity bindings: the agent and conversation of a consumer user or a Telegram user.
//!
//! There is one active binding per user, per (bot, Telegram user) and per (bot, chat). The user's item is
//! authoritative; the two Telegram items are copies. A new binding replaces all bindings with the same keys
//! in one transaction, on condition that each item is still as it was read. Otherwise two bindings that are
//! made at the same time could leave one user with the chat of the other. In the same transaction, each binding that ends
//! becomes an item of its user's history.

use std::collections::{BTreeMap, HashMap};

use af_domain::agent::{Binding, BindingSource, ListedBinding, TelegramIdentity};
use af_domain::ids::{AgentKey, BindingId, BotIdentity, ConsumerUserId, ConversationId, TelegramUserId};
use af_domain::time::Timestamp;

use crate::expression::Update;
use crate::item::{Item, Reader, Writer};
use crate::keys::{self, Key};
use crate::write::{Commit, Transaction, queried};
use crate::{Page, Result, Store};

impl Store {
    /// Returns the active binding of a user.
    pub async fn binding(&self, user: &ConsumerUserId, consistent: bool) -> Result<Option<Binding>> {
        self.get(keys::binding(user), consistent).await?.as_ref().map(binding_from).transpose()
    }

    /// Returns the bindings of the Telegram user and of the chat that wrote to a bot, in one read. The user's
    /// binding is first.
    pub async fn bindings_of_sender(
        &self,
        telegram: &TelegramIdentity,
        consistent: bool,
    ) -> Result<Vec<Binding>> {
        let keys = telegram_keys(telegram);
        let mut found = BTreeMap::new();
        for item in &self.batch_get(keys.clone().into_iter(), consistent).await? {
            let sort_key = Reader::of(item).text("sk")?;
            found.insert(keys.iter().position(|key| key.sk == sort_key), binding_from(item)?);
        }
        Ok(found.into_values().collect())
    }

    /// Returns one page of the bindings of a user: the active one first, then the past ones, the newest first. `after` is
    /// the `next` of the page before.
    pub async fn bindings_of_user(
        &self,
        user: &ConsumerUserId,
        limit: u32,
        after: Option<&str>,
    ) -> Result<Page<ListedBinding, String>> {
        let partition = keys::binding(user).pk;
        let bounds = [
            (":pk", partition.as_str().into()),
            (":first", keys::PAST_BINDINGS.into()),
            (":last", keys::ACTIVE_BINDING.into()),
        ];
        let start = after.map(|sk| Key { pk: partition.clone(), sk: sk.to_owned() }.attributes());
        let query = self.query("#pk = :pk AND #sk BETWEEN :first AND :last", bounds);
        let query = query.scan_index_forward(false).set_exclusive_start_key(start);
        let page =
            queried(query.limit(i32::try_from(limit).unwrap_or(i32::MAX)).consistent_read(true)).await?;
        let listed = |item| {
            let revoked_at = Reader::of(item).time_if("ra")?;
            Ok(ListedBinding { binding: binding_from(item)?, revoked_at })
        };
        let items = page.items().iter().map(listed).collect::<Result<_>>()?;
        let next = page.last_evaluated_key.as_ref();
        let next = next.map(|key| Reader::of(key).text("sk").map(str::to_owned)).transpose()?;
        Ok(Page { items, next })
    }

    /// Returns the active bindings of these users, strongly consistent. A malformed binding is left out, like a missing one,
    /// so that it does not hide the others.
    pub async fn bindings_of_users<'a>(
        &self,
        users: impl Iterator<Item = &'a ConsumerUserId>,
    ) -> Result<HashMap<ConsumerUserId, Binding>> {
        let items = self.batch_get(users.map(keys::binding), true).await?;
        let bindings = items.iter().filter_map(|item| binding_from(item).ok());
        Ok(bindings.map(|binding| (binding.user.clone(), binding)).collect())
    }

    /// Returns one page of the users with an active binding to an agent, ordered by id, starting after `after`. The read is
    /// eventually consistent, so a binding may have changed.
    pub async fn users_of_agent(
        &self,
        agent: &AgentKey,
        limit: i32,
        after: Option<&ConsumerUserId>,
    ) -> Result<Vec<ConsumerUserId>> {
        // A space is less than every first character of a user's id.
        let after = after.map_or(" ", ConsumerUserId::as_str);
        let values = [(":lp", keys::bindings_of_agent(agent).into()), (":after", after.into())];
        let query = self.query("#lp = :lp AND #lk > :after", values).index_name(keys::MESSAGES_INDEX);
        let user = |item: &Item| Reader::of(item).id("lk", ConsumerUserId::parse);
        queried(query.limit(limit)).await?.items().iter().map(user).collect()
    }

    /// Makes `binding` the active binding of its user and of its Telegram identity. It replaces `replaced`,
    /// the bindings that have these keys. It is stale if one of them has changed since it was read.
    pub async fn bind_if_unchanged(&self, binding: &Binding, replaced: &[Binding]) -> Result<Commit> {
        self.commit_or_stale(bind(self.transaction(), binding, replaced)).await
    }

    /// Deletes a binding, which becomes history. It is stale if the binding has changed since it was read.
    pub async fn unbind_if_unchanged(&self, binding: &Binding, now: Timestamp) -> Result<Commit> {
        let mut transaction = self.transaction();
        for key in keys_of(binding) {
            transaction = transaction.delete_when(&unchanged(&key, Some(binding)));
        }
        let past = past_binding_item(binding, now);
        let once =
            Update::of(past_key(binding)).when("attribute_not_exists(#pk) OR #ra = :ra").bind(":ra", now);
        self.commit_or_stale(transaction.put_when(past, &once)).await
    }
}

/// Adds the writes of [`Store::bind_if_unchanged`] to a transaction.
pub(crate) fn bind(mut transaction: Transaction, binding: &Binding, replaced: &[Binding]) -> Transaction {
    let new = keys_of(binding);
    let mut old: Vec<(Key, &Binding)> = Vec::new();
    for replaced in replaced {
        for key in keys_of(replaced) {
            if !old.iter().any(|(known, _)| *known == key) {
                old.push((key, replaced));
            }
        }
    }
    for (key, replaced) in old.iter().filter(|(key, _)| !new.contains(key)) {
        transaction = transaction.delete_when(&unchanged(key, Some(replaced)));
    }
    for key in new {
        let replaced = old.iter().find(|(known, _)| *known == key).map(|(_, replaced)| *replaced);
        let condition = unchanged(&key, replaced);
        transaction = transaction.put_when(active_binding_item(key, binding), &condition);
    }
    let ended: BTreeMap<&BindingId, &Binding> = replaced.iter().map(|ended| (&ended.id, ended)).collect();
    ended
        .values()
        .fold(transaction, |transaction, ended| transaction.put(past_binding_item(ended, binding.bound_at)))
}

/// The condition that the item at `key` belongs to `binding`, or does not exist. A binding from before bindings had ids is
/// known by its time.
fn unchanged(key: &Key, binding: Option<&Binding>) -> Update {
    let item = Update::of(key.clone());
    match binding {
        Some(binding) => item
            .when(
                "attribute_not_exists(#pk) OR \
                 (#u = :user AND #at = :at AND (#id = :id OR attribute_not_exists(#id)))",
            )
            .bind(":user", binding.user.as_str())
            .bind(":at", binding.bound_at)
            .bind(":id", binding.id.as_str()),
        None => item.when("attribute_not_exists(#pk)"),
    }
}

/// Returns every key of a binding; the user's own key is first.
fn keys_of(binding: &Binding) -> Vec<Key> {
    let mut all = vec![keys::binding(&binding.user)];
    all.extend(binding.telegram.iter().flat_map(telegram_keys));
    all
}

/// Returns the keys of a binding under its Telegram user and its chat.
fn telegram_keys(telegram: &TelegramIdentity) -> Vec<Key> {
    let user = telegram.user.as_ref().map(|user| keys::binding_of_telegram_user(&telegram.bot, user));
    let chat = telegram.chat.as_ref().map(|chat| keys::binding_of_chat(&telegram.bot, chat));
    user.into_iter().chain(chat).collect()
}

/// The item of a user lists the binding among those of its agent.
fn active_binding_item(key: Key, binding: &Binding) -> Item {
    let of_user = key.sk == keys::ACTIVE_BINDING;
    let item = Writer::from(binding_item(key, binding));
    if !of_user {
        return item.build();
    }
    item.put("lp", keys::bindings_of_agent(&binding.agent)).put("lk", binding.user.as_str()).build()
}

fn binding_item(key: Key, binding: &Binding) -> Item {
    let telegram = binding.telegram.as_ref();
    Writer::at(key)
        .put("id", binding.id.as_str())
        .put("u", binding.user.as_str())
        .put("ag", binding.agent.as_str())
        .put("cid", binding.conversation.as_str())
        .put("src", binding.source.as_str())
        .put("at", binding.bound_at)
        .put_some("tb", telegram.map(|t| t.bot.as_str()))
        .put_some("tu", telegram.and_then(|t| t.user.as_ref()).map(TelegramUserId::as_str))
        .put_some("tc", telegram.and_then(|t| t.chat.as_ref()).map(TelegramUserId::as_str))
        .build()
}

fn past_key(binding: &Binding) -> Key {
    keys::past_binding(&binding.user, binding.bound_at, &binding.id)
}

fn past_binding_item(binding: &Binding, revoked_at: Timestamp) -> Item {
    Writer::from(binding_item(past_key(binding), binding)).put("ra", revoked_at).build()
}

fn binding_from(item: &Item) -> Result<Binding> {
    let reader = Reader::of(item);
    let bound_at = reader.time("at")?;
    let id = match reader.id_if("id", BindingId::parse)? {
        Some(id) => id,
        // A binding from before bindings had ids.
        None => BindingId::parse(format!("{:026}", bound_at.as_millis()))
            .map_err(|e| reader.malformed("at", &e.to_string()))?,
    };
    let source =
        BindingSource::parse(reader.text("src")?).ok_or_else(|| reader.malformed("src", "not a source"))?;
    let person = |name| reader.id_if(name, TelegramUserId::parse);
    let telegram = match reader.id_if("tb", BotIdentity::parse)? {
        Some(bot) => Some(TelegramIdentity { bot, user: person("tu")?, chat: person("tc")? }),
        None => None,
    };
    Ok(Binding {
        id,
        user: reader.id("u", ConsumerUserId::parse)?,
        agent: reader.id("ag", AgentKey::parse)?,
        conversation: reader.id("cid", ConversationId::parse)?,
        telegram,
        source,
        bound_at,
    })
}
