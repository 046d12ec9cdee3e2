//! Identity bindings: the agent and conversation of a consumer user or a Telegram user.
//!
//! There is one active binding per user, per (bot, Telegram user) and per (bot, chat). The user's item is
//! authoritative; the two Telegram items are copies. A new binding replaces all bindings with the same keys
//! in one transaction, on condition that each item is still as it was read. Otherwise two bindings that are
//! made at the same time could leave one user with the chat of the other.

use std::collections::BTreeMap;

use af_domain::agent::{Binding, BindingSource, TelegramIdentity};
use af_domain::ids::{AgentKey, BotIdentity, ConsumerUserId, ConversationId, TelegramUserId};

use crate::expression::Update;
use crate::item::{Item, Reader, Writer};
use crate::keys::{self, Key};
use crate::write::Commit;
use crate::{Result, Store};

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

    /// Makes `binding` the active binding of its user and of its Telegram identity. It replaces `replaced`,
    /// the bindings that have these keys. It is stale if one of them has changed since it was read.
    pub async fn bind_if_unchanged(&self, binding: &Binding, replaced: &[Binding]) -> Result<Commit> {
        let new = keys_of(binding);
        let mut transaction = self.transaction();
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
            transaction = transaction.put_when(binding_item(key, binding), &condition);
        }
        self.commit_or_stale(transaction).await
    }

    /// Deletes a binding. It is stale if the binding has changed since it was read.
    pub async fn unbind_if_unchanged(&self, binding: &Binding) -> Result<Commit> {
        let mut transaction = self.transaction();
        for key in keys_of(binding) {
            transaction = transaction.delete_when(&unchanged(&key, Some(binding)));
        }
        self.commit_or_stale(transaction).await
    }
}

/// The condition that the item at `key` belongs to `binding`, or does not exist.
fn unchanged(key: &Key, binding: Option<&Binding>) -> Update {
    let item = Update::of(key.clone());
    match binding {
        Some(binding) => item
            .when("attribute_not_exists(#pk) OR (#u = :user AND #at = :at)")
            .bind(":user", binding.user.as_str())
            .bind(":at", binding.bound_at),
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

fn binding_item(key: Key, binding: &Binding) -> Item {
    let telegram = binding.telegram.as_ref();
    Writer::at(key)
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

fn binding_from(item: &Item) -> Result<Binding> {
    let reader = Reader::of(item);
    let source =
        BindingSource::parse(reader.text("src")?).ok_or_else(|| reader.malformed("src", "not a source"))?;
    let person = |name| reader.id_if(name, TelegramUserId::parse);
    let telegram = match reader.id_if("tb", BotIdentity::parse)? {
        Some(bot) => Some(TelegramIdentity { bot, user: person("tu")?, chat: person("tc")? }),
        None => None,
    };
    Ok(Binding {
        user: reader.id("u", ConsumerUserId::parse)?,
        agent: reader.id("ag", AgentKey::parse)?,
        conversation: reader.id("cid", ConversationId::parse)?,
        telegram,
        source,
        bound_at: reader.time("at")?,
    })
}
