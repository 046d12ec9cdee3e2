//! Identity bindings: the agent and conversation of a consumer user or a Telegram user.
//!
//! There is one active binding per user, per (bot, Telegram user) and per (bot, chat). The user's item is
//! authoritative; the two Telegram items are copies. A new binding replaces all bindings with the same keys
//! in one transaction.

use std::collections::BTreeMap;

use af_domain::agent::{Binding, BindingSource, TelegramIdentity};
use af_domain::ids::{AgentKey, BotIdentity, ConsumerUserId, ConversationId};

use crate::item::{Item, Reader, Writer};
use crate::keys::{self, Key};
use crate::write::Commit;
use crate::{Result, Store, StoreError};

impl Store {
    /// Returns the active binding of a user.
    pub async fn binding(&self, user: &ConsumerUserId, consistent: bool) -> Result<Option<Binding>> {
        self.get(keys::binding(user), consistent).await?.as_ref().map(binding_from).transpose()
    }

    /// Returns the bindings of the Telegram user and of the chat that wrote to a bot, in one read. The user's
    /// binding is first.
    pub async fn bindings_of_sender(
        &self,
        bot: &BotIdentity,
        user: &str,
        chat: &str,
    ) -> Result<Vec<Binding>> {
        let by_user = keys::binding_of_telegram_user(bot, user);
        let by_chat = keys::binding_of_chat(bot, chat);
        let items = self.batch_get([by_user, by_chat.clone()].into_iter(), false).await?;
        let mut found = BTreeMap::new();
        for item in &items {
            let is_chat = Reader::of(item).text("sk")? == by_chat.sk;
            found.insert(is_chat, binding_from(item)?);
        }
        Ok(found.into_values().collect())
    }

    /// Makes `binding` the active binding of its user and of its Telegram identity. It replaces `replaced`,
    /// the bindings that had these keys when they were read.
    pub async fn bind(&self, binding: &Binding, replaced: &[Binding]) -> Result<Commit> {
        let new = keys_of(binding);
        let mut transaction = self.transaction();
        let mut gone: Vec<Key> = Vec::new();
        for key in replaced.iter().flat_map(keys_of) {
            if !new.contains(&key) && !gone.contains(&key) {
                transaction = transaction.delete(&key);
                gone.push(key);
            }
        }
        for key in new {
            transaction = transaction.put(binding_item(key, binding));
        }
        self.commit_or_stale(transaction).await
    }

    /// Deletes a binding.
    pub async fn unbind(&self, binding: &Binding) -> Result<()> {
        let mut transaction = self.transaction();
        for key in keys_of(binding) {
            transaction = transaction.delete(&key);
        }
        self.commit(transaction).await.map(drop)
    }
}

/// Returns every key of a binding; the user's own key is first.
fn keys_of(binding: &Binding) -> Vec<Key> {
    let mut all = vec![keys::binding(&binding.user)];
    if let Some(telegram) = &binding.telegram {
        all.extend(telegram.user.as_ref().map(|u| keys::binding_of_telegram_user(&telegram.bot, u)));
        all.extend(telegram.chat.as_ref().map(|c| keys::binding_of_chat(&telegram.bot, c)));
    }
    all
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
        .put_some("tu", telegram.and_then(|t| t.user.as_deref()))
        .put_some("tc", telegram.and_then(|t| t.chat.as_deref()))
        .build()
}

fn binding_from(item: &Item) -> Result<Binding> {
    let reader = Reader::of(item);
    let source =
        BindingSource::parse(reader.text("src")?).ok_or_else(|| reader.malformed("src", "not a source"))?;
    let text = |name| Ok::<_, StoreError>(reader.text_if(name)?.map(str::to_owned));
    let telegram = match reader.id_if("tb", BotIdentity::parse)? {
        Some(bot) => Some(TelegramIdentity { bot, user: text("tu")?, chat: text("tc")? }),
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
