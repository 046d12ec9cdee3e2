//! Messages of other people, stored in bulk: copies of what the use cases have written once.

use std::collections::BTreeMap;

use af_app::enqueue::Enqueue;
use af_domain::ids::{ConversationId, MessageId};
use af_domain::time::Millis;
use af_store::{conversation_key, keys};
use serde_json::{Value, json};

use crate::world::{SHARDS, World};

/// One message in so many waits for a later time, in a conversation of its own; the others are done.
const SCHEDULED_ONE_IN: usize = 10;
/// Done messages of one conversation, each with two history entries.
const DONE_PER_CONVERSATION: usize = 30;
/// Items that one BatchWriteItem takes.
const BATCH: usize = 25;
/// When those that wait are due: not while this test runs.
const LATER: Millis = Millis::from_days(300);
/// Where the history entries of a conversation's first message stand.
const FIRST_FENCE: &str = "H#0000000001#";

/// What one message has left in the table.
struct Pattern {
    conversation: ConversationId,
    message: MessageId,
    items: Vec<Value>,
}

/// Stores `count` messages.
pub async fn store(world: &World, count: usize) {
    let scheduled = count / SCHEDULED_ONE_IN;
    let waiting = waiting(world).await;
    let done = done(world).await;
    // By key: the messages of one conversation share its meta item.
    let mut items = BTreeMap::new();
    for message in 0..count {
        let copies = match message.checked_sub(scheduled) {
            None => waiting.copy(message, message),
            Some(nth) => done.copy(message, scheduled + nth / DONE_PER_CONVERSATION),
        };
        items.extend(copies.into_iter().map(|item| ((item["pk"].to_string(), item["sk"].to_string()), item)));
    }
    write(world, items.into_values().collect()).await;
    dismiss_workers(world).await;
}

/// Makes a conversation that has had one message, with two history entries, into one that has had many: `messages` with
/// `entries` of history together, in the order in which they would have come.
pub async fn prolong(
    world: &World,
    conversation: &ConversationId,
    message: &MessageId,
    messages: usize,
    entries: usize,
) {
    let pattern = Pattern::read(world, conversation.clone(), message.clone()).await;
    let is = |item: &Value, sk: &str| item["sk"]["S"].as_str().unwrap().starts_with(sk);
    let (history, others): (Vec<_>, Vec<_>) = pattern.items.iter().partition(|item| is(item, FIRST_FENCE));
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
    write(world, batch).await;
}

/// Takes the rows of all workers away, which own nothing: those that a row measures are the only ones then.
async fn dismiss_workers(world: &World) {
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
    Pattern::read(world, conversation, message).await
}

async fn done(world: &World) -> Pattern {
    let conversation = world.new_conversation();
    let message = world.enqueue(world.message(&conversation)).await;
    let worker = world.owner(&conversation).await;
    let held = world.claim(&worker, &conversation).await;
    world.complete(&held, 2).await;
    world.let_go(&held).await;
    Pattern::read(world, conversation, message).await
}

impl Pattern {
    async fn read(world: &World, conversation: ConversationId, message: MessageId) -> Self {
        let mut items = Vec::new();
        for pk in [keys::message(&message).pk, keys::conversation(&conversation_key(&conversation)).pk] {
            let query = json!({
                "TableName": table(world),
                "KeyConditionExpression": "pk = :pk",
                "ExpressionAttributeValues": {":pk": {"S": pk}},
            });
            let answer = world.bundle.aws.engine().call("Query", query).await.body;
            items.extend(answer["Items"].as_array().unwrap().iter().cloned());
        }
        Self { conversation, message, items }
    }

    /// The same items as those of another message in another conversation.
    fn copy(&self, message: usize, conversation: usize) -> Vec<Value> {
        let new = ConversationId::parse(format!("user-agent:demo:stored-{conversation}")).unwrap();
        let (old_key, new_key) = (conversation_key(&self.conversation), conversation_key(&new));
        let copied = |item: &Value| {
            let text = item
                .to_string()
                .replace(self.message.as_str(), &format!("{message:026}"))
                .replace(self.conversation.as_str(), new.as_str())
                .replace(old_key.as_str(), new_key.as_str())
                .replace(FIRST_FENCE, &format!("H#{message:010}#"));
            let mut item: Value = serde_json::from_str(&text).unwrap();
            if item["rp"].is_object() {
                item["rp"]["S"] = json!(keys::ready_partition(&new_key, SHARDS));
            }
            item
        };
        self.items.iter().map(copied).collect()
    }
}

async fn write(world: &World, items: Vec<Value>) {
    let table = table(world);
    for batch in items.chunks(BATCH) {
        let puts: Vec<Value> = batch.iter().map(|item| json!({"PutRequest": {"Item": item}})).collect();
        let request = json!({"RequestItems": {table: puts}});
        let reply = world.bundle.aws.engine().call("BatchWriteItem", request).await;
        assert_eq!((reply.status, &reply.body["UnprocessedItems"]), (200, &json!({})));
    }
}

fn table(world: &World) -> &str {
    &world.bundle.template.tables[0].name
}
