//! The keys of all items. `docs/data-model.md` lists them, and a test compares the two.

mod document;
mod ledger;
mod push;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

use af_domain::conversation::ReadyKey;
use af_domain::ids::{
    AgentKey, BindingId, BotIdentity, BotUsername, ConsumerUserId, ConversationId, ConversationKey, Fence,
    MessageId, PairingCode, Sha256Hex, SkillSlug, SkillVersion, SnapshotId, StorageId, TelegramUserId,
    TemplateKey, WorkerId,
};
use af_domain::outbox::Chat;
use af_domain::skill::ReleaseChannel;
use af_domain::time::Timestamp;

pub use document::*;
pub use ledger::*;
pub use push::*;

/// The index of conversations that have work and no owner.
pub const READY_INDEX: &str = "ready";
/// The index of a conversation's messages.
pub const MESSAGES_INDEX: &str = "conversation-messages";
/// The number of partitions of the dead-letter marks.
pub const DEAD_LETTER_SHARDS: usize = 4;
/// The prefix of all history sort keys.
pub(crate) const HISTORY: &str = "H#";
/// The sort key of the pending tool calls. It sorts after all history.
pub(crate) const TOOL_CALLS: &str = "H~";
/// The sort key of an item that is alone in its partition.
pub(crate) const ONLY: &str = "#";
/// The prefix of the partition keys of conversations.
pub(crate) const CONVERSATIONS_PREFIX: &str = "C#";

/// A primary key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key.
    pub sk: String,
}

impl Key {
    fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    pub(crate) fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            ("pk".to_owned(), AttributeValue::S(self.pk.clone())),
            ("sk".to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

/// Returns the partition key of a conversation: the first 130 bits of the SHA-256 of its id, in base 32.
pub fn conversation_key(id: &ConversationId) -> ConversationKey {
    let digest = Sha256::digest(id.as_str().as_bytes());
    let text = BASE32_NOPAD.encode(&digest).to_ascii_lowercase();
    ConversationKey::parse(&text[..26]).expect("base 32 in lower case, cut to 26")
}

/// The meta item of a conversation.
pub fn conversation(key: &ConversationKey) -> Key {
    Key::new(format!("C#{key}"), ONLY)
}

/// A history entry, filed under the claim that wrote it and its position there. Fences grow with every claim,
/// so history sorts in commit order, even if a message was overtaken while it waited for its retry.
pub fn history(key: &ConversationKey, fence: Fence, place: &str) -> Key {
    Key::new(format!("C#{key}"), format!("{HISTORY}{:010}#{place}", fence.0))
}

/// The pending tool calls of a conversation. They sort after all its history, so that one query returns both.
pub fn pending_tool_calls(key: &ConversationKey) -> Key {
    Key::new(format!("C#{key}"), TOOL_CALLS)
}

/// A snapshot, filed by fence and then by time, so that the newest one of the latest claim sorts last.
pub fn snapshot(id: &SnapshotId) -> Key {
    let parts = id.parts();
    Key::new(format!("C#{}", parts.conversation), format!("S#{:010}#{}", parts.fence.0, parts.place))
}

/// The copy of the latest ready snapshot of a conversation. It sorts after all snapshots.
pub fn latest_snapshot(key: &ConversationKey) -> Key {
    Key::new(format!("C#{key}"), "S~")
}

/// A file that an agent made or fetched.
pub fn media(id: &StorageId) -> Key {
    let (conversation, place) = id.parts();
    Key::new(format!("C#{conversation}"), format!("F#{place}"))
}

/// The index of items by expiry.
pub const EXPIRY_INDEX: &str = "expiry";

/// The partition of the snapshots in the expiry index.
pub const EXPIRING_SNAPSHOTS: &str = "X#S";

/// The partition of the media files in the expiry index.
pub const EXPIRING_MEDIA: &str = "X#M";

/// Returns the partition of a conversation in the ready index.
pub fn ready_partition(key: &ConversationKey, shards: u64) -> String {
    format!("R#{}", shard_of(key.as_str(), shards))
}

/// Returns the partition number `shard` of the ready index.
pub fn ready_shard(shard: u64) -> String {
    format!("R#{shard}")
}

/// Returns the first sort key of the ready index that is not claimable at `now`.
pub fn ready_horizon(now: Timestamp) -> String {
    ReadyKey::horizon(now).as_str().to_owned()
}

/// A message.
pub fn message(id: &MessageId) -> Key {
    Key::new(format!("M#{id}"), ONLY)
}

/// The payload of a message that is too large for the message's item. The payload is written before the
/// message is accepted, so its key contains the hash of its body: another body with the same message id
/// cannot overwrite it.
pub fn message_payload(id: &MessageId, body_hash: &str) -> Key {
    Key::new(format!("M#{id}"), format!("P#{body_hash}"))
}

/// Returns the partition of the index of a conversation's messages.
pub fn messages_partition(key: &ConversationKey) -> String {
    format!("C#{key}")
}

/// The mark of a dead letter.
pub fn dead_letter(id: &MessageId, at: Timestamp) -> Key {
    let shard = shard_of(id.as_str(), DEAD_LETTER_SHARDS as u64);
    Key::new(dead_letter_partition(shard), format!("{:013}#{id}", at.as_millis()))
}

/// Returns the partition number `shard` of the dead-letter marks.
pub fn dead_letter_partition(shard: u64) -> String {
    format!("DL#{shard}")
}

/// A worker that has not stopped.
pub fn worker(id: &WorkerId) -> Key {
    Key::new("W", id.as_str())
}

/// The partition of all workers that have not stopped.
pub const WORKERS: &str = "W";

/// A worker that has stopped.
pub fn stopped_worker(id: &WorkerId) -> Key {
    Key::new("WH", id.as_str())
}

/// An agent profile.
pub fn agent(key: &AgentKey) -> Key {
    Key::new(AGENTS, key.as_str())
}

/// The partition of the agent profiles.
pub const AGENTS: &str = "A";

/// A bot.
pub fn bot(identity: &BotIdentity) -> Key {
    Key::new(format!("BOT#{identity}"), ONLY)
}

/// The active binding of a consumer user.
pub fn binding(user: &ConsumerUserId) -> Key {
    Key::new(format!("U#{user}"), ACTIVE_BINDING)
}

/// A binding of a consumer user that was revoked or replaced. All of them sort before the active binding, in the order
/// in which they were made.
pub fn past_binding(user: &ConsumerUserId, bound_at: Timestamp, id: &BindingId) -> Key {
    Key::new(format!("U#{user}"), format!("{PAST_BINDINGS}{:013}#{id}", bound_at.as_millis()))
}

/// The sort key of the active binding of a consumer user.
pub(crate) const ACTIVE_BINDING: &str = "B";
/// The prefix of the sort keys of past bindings.
pub(crate) const PAST_BINDINGS: &str = "A#";

/// The binding of a Telegram user of one bot.
pub fn binding_of_telegram_user(bot: &BotIdentity, user: &TelegramUserId) -> Key {
    Key::new(format!("BOT#{bot}"), format!("U#{user}"))
}

/// The binding of a chat of one bot.
pub fn binding_of_chat(bot: &BotIdentity, chat: &TelegramUserId) -> Key {
    Key::new(format!("BOT#{bot}"), format!("C#{chat}"))
}

/// A chat that goes on with the conversation of another chat.
pub fn chat(bot: &BotIdentity, chat: i64) -> Key {
    Key::new(format!("BOT#{bot}"), format!("G#{chat}"))
}

/// The mark of a notice of this kind that a chat got lately.
pub fn notice_mark(chat: &Chat, kind: &str) -> Key {
    Key::new(format!("BOT#{}", chat.bot), format!("N#{}#{kind}", chat.id))
}

/// What was said in a group and is not for the agent.
pub fn group_lines(key: &ConversationKey) -> Key {
    Key::new(format!("C#{key}"), "L")
}

/// A pairing code.
pub fn pairing(code: &PairingCode) -> Key {
    Key::new(format!("PC#{code}"), ONLY)
}

/// The name of the newest pairing code of a user and an agent.
pub fn newest_pairing(user: &ConsumerUserId, agent: &AgentKey) -> Key {
    Key::new(format!("U#{user}"), format!("{NEWEST_PAIRINGS}{agent}"))
}

/// The prefix of the sort keys of the names of newest pairing codes.
pub(crate) const NEWEST_PAIRINGS: &str = "P#";

/// The counter of the wrong pairing codes that a Telegram user has sent to a bot.
pub fn wrong_codes(bot: &BotIdentity, user: &TelegramUserId) -> Key {
    Key::new(format!("BOT#{bot}"), format!("W#{user}"))
}

/// A link with which a person creates a bot.
pub fn bot_link(username: &BotUsername) -> Key {
    Key::new(format!("BL#{username}"), ONLY)
}

/// The name of the newest link of a user and an agent.
pub fn newest_bot_link(user: &ConsumerUserId, agent: &AgentKey) -> Key {
    Key::new(format!("U#{user}"), format!("L#{agent}"))
}

/// A bot that a person has created with a link.
pub fn managed_bot(identity: &BotIdentity) -> Key {
    Key::new(format!("{MANAGED_BOT_PREFIX}{identity}"), ONLY)
}

/// The prefix of the partition keys of managed bots.
pub(crate) const MANAGED_BOT_PREFIX: &str = "MB#";

/// Returns the partition of the active bindings of an agent in the index of messages.
pub fn bindings_of_agent(agent: &AgentKey) -> String {
    format!("AB#{agent}")
}

/// An API key.
pub fn api_key(id: &str) -> Key {
    Key::new(API_KEYS, id)
}

/// The outbox of a chat.
pub fn outbox(chat: &Chat) -> Key {
    Key::new(format!("{OUTBOX_PREFIX}{chat}"), ONLY)
}

/// The prefix of the partition keys of outboxes.
pub(crate) const OUTBOX_PREFIX: &str = "O#";

/// The partition in the ready index of all outboxes, and of the managed bots that are due.
pub const OUTBOXES: &str = "O";

/// Returns the sort key in the ready index of an outbox, or of a managed bot, that is due at `time`.
pub fn outbox_due(time: Timestamp) -> String {
    format!("{:013}", time.as_millis())
}

/// The partition of the API keys.
pub const API_KEYS: &str = "K";

/// The record of a call with an idempotency key.
pub fn call(hash: &str) -> Key {
    Key::new(format!("IK#{hash}"), ONLY)
}

/// A global skill.
pub fn skill(slug: &SkillSlug) -> Key {
    Key::new(SKILLS, slug.as_str())
}

/// The partition of the global skills.
pub const SKILLS: &str = "S";

/// A version of a skill.
pub fn skill_version(slug: &SkillSlug, version: &SkillVersion) -> Key {
    Key::new(skill_partition(slug), format!("{SKILL_VERSIONS}{version}"))
}

/// The files of a version of a skill. They are filed under their hash, so that they are written once.
pub fn skill_bundle(slug: &SkillSlug, bundle: &Sha256Hex) -> Key {
    Key::new(skill_partition(slug), format!("B#{bundle}"))
}

/// Returns the partition of the versions of a skill and their files.
pub fn skill_partition(slug: &SkillSlug) -> String {
    format!("S#{slug}")
}

/// The prefix of the sort keys of skill versions.
pub const SKILL_VERSIONS: &str = "V#";

/// The releases of a channel.
pub fn skill_channel(channel: ReleaseChannel) -> Key {
    Key::new("SC", channel.as_str())
}

/// A message template.
pub fn template(key: &TemplateKey) -> Key {
    Key::new(TEMPLATES, key.as_str())
}

/// The number of message templates. It sorts before all of them.
pub fn template_count() -> Key {
    Key::new(TEMPLATES, ONLY)
}

/// The partition of the message templates.
pub const TEMPLATES: &str = "T";

/// A configuration document.
pub fn config(name: &str) -> Key {
    Key::new("CFG", name)
}

/// The reconcile lease and the report of the last run.
pub fn reconcile() -> Key {
    Key::new("RC", ONLY)
}

/// The counters that follow the stream.
pub fn counters() -> Key {
    Key::new("CNT", ONLY)
}

fn shard_of(text: &str, shards: u64) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    let head = u64::from_be_bytes(digest[..8].try_into().expect("a SHA-256 digest has 32 bytes"));
    head % shards.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversation_keys_are_short_stable_and_spread_over_the_shards() {
        let key = |i: usize| conversation_key(&ConversationId::parse(format!("telegram:1:{i}")).unwrap());
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), key(2));
        let mut shards: Vec<_> = (0..64).map(|i| ready_partition(&key(i), 4)).collect();
        shards.sort();
        shards.dedup();
        assert_eq!(shards, ["R#0", "R#1", "R#2", "R#3"]);
    }

    #[test]
    fn history_sorts_by_claim_and_tool_calls_come_last() {
        let key = conversation_key(&ConversationId::parse("c").unwrap());
        let appended = history(&key, Fence(9), "000001").sk;
        let completed = history(&key, Fence(9), "~00000").sk;
        let next = history(&key, Fence(11), "000000").sk;
        assert!(appended < completed && completed < next && next < pending_tool_calls(&key).sk);
    }
}
