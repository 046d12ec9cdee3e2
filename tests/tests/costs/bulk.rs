//! Messages and workers of other people, stored in bulk: copies of items that the use cases have written once.

use af_app::intake::enqueue::Enqueue;
use af_domain::ids::{ConversationId, ConversationKey, MessageId, WorkerId};
use af_domain::time::Millis;
use af_store::keys::Key;
use af_store::{conversation_key, keys};
use serde_json::{Value, json};

use crate::world::{SHARDS, World};

/// One message in this many waits for a later time, in a conversation of its own. The others are done.
const SCHEDULED_ONE_IN: usize = 10;
/// Done messages of one conversation. The first of them has two history entries. Another test measures the cost of a
/// long history.
const DONE_PER_CONVERSATION: usize = 30;
/// The delay until the waiting messages are due: longer than this test runs.
const LATER: Millis = Millis::from_days(300);
/// The prefix of the sort keys of the history entries of a conversation's first message.
const FIRST_FENCE: &str = "H#0000000001#";
/// Items that are stored at once. Each batch is in memory twice.
const BATCH: usize = 20_000;

/// Items that use cases have written, as a pattern for copies under other names.
pub struct Pattern {
    names: Names,
    items: Vec<(Value, Vec<NamedText>)>,
}

/// The names in the items of a pattern or of a copy.
#[derive(Clone)]
pub struct Names {
    pub conversation: ConversationId,
    pub messages: Vec<String>,
    pub worker: Option<WorkerId>,
}

/// A text of an item that contains a name: its JSON pointer and its parts.
struct NamedText {
    pointer: String,
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Conversation,
    Key,
    Message(usize),
    Worker,
    /// The partition of the ready index, which depends on the conversation.
    Shard,
}

/// Patterns for messages of other people: one that waits for a later time, and one that is done.
pub struct BulkMessages {
    waiting: Pattern,
    done: Pattern,
}

impl BulkMessages {
    /// Creates the patterns in a world in which no message waits.
    pub async fn of(world: &World) -> Self {
        Self { waiting: waiting(world).await, done: done(world).await }
    }

    /// Stores `count` messages. With `recorded` the table's stream contains them, too.
    pub async fn store(&self, world: &World, count: usize, recorded: bool) {
        let scheduled = count / SCHEDULED_ONE_IN;
        let copies = (0..count).flat_map(|message| match message.checked_sub(scheduled) {
            None => self.waiting.copy(&stored(message, message)),
            Some(nth) => {
                let names = stored(message, scheduled + nth / DONE_PER_CONVERSATION);
                match nth % DONE_PER_CONVERSATION {
                    0 => self.done.copy(&names),
                    _ => self.done.copy_message(&names),
                }
            }
        });
        write(world, copies, recorded).await;
        delete_worker_rows(world).await;
    }
}

/// Adds `count` workers. Each owns a conversation in which one message was completed just before.
pub async fn add_owners(world: &World, count: usize) {
    let (worker, conversation) = world.idle_owner().await;
    let names = Names { conversation, messages: Vec::new(), worker: Some(worker) };
    let pattern = Pattern::of(world, names).await;
    let copies = (1..count).flat_map(|nth| {
        let worker = WorkerId::parse(format!("w-owner-{nth:020}")).unwrap();
        let conversation = ConversationId::parse(format!("user-agent:demo:owned-{nth}")).unwrap();
        pattern.copy(&Names { conversation, messages: Vec::new(), worker: Some(worker) })
    });
    write(world, copies, false).await;
}

/// Stores items in bulk. With `recorded` the table's stream contains them, too.
pub async fn write(world: &World, items: impl Iterator<Item = Value>, recorded: bool) {
    let (engine, mut items) = (world.bundle.aws.engine(), items.peekable());
    while items.peek().is_some() {
        engine.import(table(world), items.by_ref().take(BATCH), recorded).await.unwrap();
    }
}

fn stored(message: usize, conversation: usize) -> Names {
    let conversation = ConversationId::parse(format!("user-agent:demo:stored-{conversation}")).unwrap();
    Names { conversation, messages: vec![format!("{message:026}")], worker: None }
}

/// Extends a conversation with one message and two history entries to `messages` messages with `entries` history
/// entries in total, in the order of real messages.
pub async fn extend_history(
    world: &World,
    conversation: &ConversationId,
    message: &MessageId,
    messages: usize,
    entries: usize,
) {
    let mut items = partition(world, keys::message(message).pk).await;
    items.extend(partition(world, keys::conversation(&conversation_key(conversation)).pk).await);
    let is = |item: &Value, sk: &str| item["sk"]["S"].as_str().unwrap().starts_with(sk);
    let (history, others): (Vec<_>, Vec<_>) = items.iter().partition(|item| is(item, FIRST_FENCE));
    let meta = others.iter().find(|item| !item["fn"].is_null()).unwrap();
    let sent = others.iter().find(|item| !item["bh"].is_null()).unwrap();
    let per_claim = history.len();
    let claims = entries / per_claim;
    let mut batch = Vec::new();
    for claim in 2..=claims {
        for entry in &history {
            let mut entry = (*entry).clone();
            let sk = entry["sk"]["S"].as_str().unwrap();
            entry["sk"]["S"] = json!(sk.replace(FIRST_FENCE, &format!("H#{claim:010}#")));
            batch.push(entry);
        }
    }
    for nth in 1..messages {
        let text = sent.to_string().replace(message.as_str(), &format!("{nth:026}"));
        batch.push(serde_json::from_str(&text).unwrap());
    }
    let mut meta = (*meta).clone();
    meta["fn"]["N"] = json!(claims.to_string());
    batch.push(meta);
    write(world, batch.into_iter(), false).await;
}

/// Deletes the rows of all workers, which own nothing. Then the workers of a measurement are the only ones.
async fn delete_worker_rows(world: &World) {
    for worker in world.app.store.workers().await.unwrap() {
        assert_eq!(worker.assignment, None);
        let key = keys::worker(&worker.id);
        let request = json!({"TableName": table(world), "Key": {"pk": {"S": key.pk}, "sk": {"S": key.sk}}});
        assert_eq!(world.bundle.aws.engine().call("DeleteItem", request).await.status, 200);
    }
}

async fn waiting(world: &World) -> Pattern {
    let conversation = world.new_conversation();
    let scheduled_for = Some(world.app.now() + LATER);
    let message = world.enqueue(Enqueue { scheduled_for, ..world.message(&conversation) }).await;
    Pattern::of(world, Names { conversation, messages: vec![message.to_string()], worker: None }).await
}

async fn done(world: &World) -> Pattern {
    let conversation = world.new_conversation();
    let message = world.enqueue(world.message(&conversation)).await;
    let worker = world.owner(&conversation).await;
    let running = world.claim(&worker, &conversation).await;
    world.complete(&running, 2).await;
    world.release(&running).await;
    Pattern::of(world, Names { conversation, messages: vec![message.to_string()], worker: None }).await
}

impl Pattern {
    /// The pattern of all items that are stored under these names, the messages first.
    pub async fn of(world: &World, names: Names) -> Self {
        let key = conversation_key(&names.conversation);
        let mut items = Vec::new();
        for message in &names.messages {
            items.extend(partition(world, format!("M#{message}")).await);
        }
        items.extend(partition(world, keys::conversation(&key).pk).await);
        if let Some(worker) = &names.worker {
            items.push(item(world, keys::worker(worker)).await);
        }
        let with_named_texts = |item: Value| {
            let mut named_texts = Vec::new();
            find_named_texts(&item, String::new(), &names, &key, &mut named_texts);
            (item, named_texts)
        };
        Self { items: items.into_iter().map(with_named_texts).collect(), names }
    }

    /// The same items under other names.
    pub fn copy(&self, names: &Names) -> Vec<Value> {
        self.items.iter().map(|item| copy(item, names)).collect()
    }

    /// Copies of the message items only.
    fn copy_message(&self, names: &Names) -> Vec<Value> {
        self.items[..self.names.messages.len()].iter().map(|item| copy(item, names)).collect()
    }
}

fn copy((item, named_texts): &(Value, Vec<NamedText>), names: &Names) -> Value {
    let (mut item, key) = (item.clone(), conversation_key(&names.conversation));
    for named_text in named_texts {
        let mut text = String::new();
        for part in &named_text.parts {
            match part {
                Part::Text(same) => text.push_str(same),
                Part::Conversation => text.push_str(names.conversation.as_str()),
                Part::Key => text.push_str(key.as_str()),
                Part::Message(nth) => text.push_str(&names.messages[*nth]),
                Part::Worker => text.push_str(names.worker.as_ref().unwrap().as_str()),
                Part::Shard => text.push_str(&keys::ready_partition(&key, SHARDS)),
            }
        }
        *item.pointer_mut(&named_text.pointer).unwrap() = Value::String(text);
    }
    item
}

fn find_named_texts(
    value: &Value,
    pointer: String,
    names: &Names,
    key: &ConversationKey,
    named_texts: &mut Vec<NamedText>,
) {
    match value {
        Value::String(_) if pointer == "/rp/S" => {
            named_texts.push(NamedText { pointer, parts: vec![Part::Shard] })
        }
        Value::String(text) => {
            let parts = parts(text, names, key);
            if parts.iter().any(|p| !matches!(p, Part::Text(_))) {
                named_texts.push(NamedText { pointer, parts });
            }
        }
        Value::Array(values) => {
            for (nth, value) in values.iter().enumerate() {
                find_named_texts(value, format!("{pointer}/{nth}"), names, key, named_texts);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                find_named_texts(value, format!("{pointer}/{name}"), names, key, named_texts);
            }
        }
        _ => {}
    }
}

/// `text`, split at the names in it.
fn parts(text: &str, names: &Names, key: &ConversationKey) -> Vec<Part> {
    let mut named = vec![(names.conversation.as_str(), Part::Conversation), (key.as_str(), Part::Key)];
    named.extend(names.messages.iter().enumerate().map(|(nth, id)| (id.as_str(), Part::Message(nth))));
    named.extend(names.worker.iter().map(|worker| (worker.as_str(), Part::Worker)));
    let found = named.into_iter().filter_map(|(name, part)| Some((text.find(name)?, name, part)));
    let Some((at, name, part)) = found.min_by_key(|(at, ..)| *at) else {
        return vec![Part::Text(text.to_owned())];
    };
    let mut split = vec![Part::Text(text[..at].to_owned()), part];
    split.extend(parts(&text[at + name.len()..], names, key));
    split
}

pub async fn partition(world: &World, pk: String) -> Vec<Value> {
    let query = json!({
        "TableName": table(world),
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": pk}},
    });
    let answer = world.bundle.aws.engine().call("Query", query).await.body;
    answer["Items"].as_array().unwrap().clone()
}

async fn item(world: &World, key: Key) -> Value {
    let get = json!({"TableName": table(world), "Key": {"pk": {"S": key.pk}, "sk": {"S": key.sk}}});
    world.bundle.aws.engine().call("GetItem", get).await.body["Item"].take()
}

fn table(world: &World) -> &str {
    &world.bundle.template.tables[0].name
}
