//! Updates of Telegram: what becomes a message, a change of a message, or nothing.

use af_domain::attachment::ALBUM_WAIT;
use af_domain::time::Millis;
use af_tests::telegram::{CHAT, PHOTO, Person};
use serde_json::{Value, json};

use crate::worker::{TestWorker, World};

/// A deployment with a bot, and a person who writes to it.
pub struct Chat {
    pub world: World,
    pub ann: Person,
}

impl Chat {
    pub async fn new() -> Self {
        let (world, ann) = World::with_person().await;
        Self { world, ann }
    }

    pub async fn configure(&self, config: Value) {
        self.world.api.put("/v1/config/ingress", config).send().await.body_of(200);
        self.world.advance(Millis::from_secs(61));
    }

    /// The notices that wait in the outbox of the person's chat.
    async fn notices(&self) -> Vec<String> {
        let chat = af_domain::outbox::Chat::parse(&format!("{}:{CHAT}", self.ann.bot.id)).unwrap();
        let outbox = self.world.app.store.outbox(&chat, true).await.unwrap();
        let text = |entry: &af_domain::outbox::Entry| format!("{:?}", entry.content);
        outbox.iter().flat_map(|outbox| &outbox.entries).map(text).collect()
    }

    async fn edits(&self, update: u64, message: u64, fields: Value) -> Value {
        let mut edit = json!({"message_id": message});
        for (name, value) in fields.as_object().unwrap() {
            edit[name] = value.clone();
        }
        self.ann.sends(update, "edited_message", edit).await
    }

    /// Sends a picture of an album.
    async fn picture(&self, update: u64, fields: Value) -> Value {
        let file = self.ann.file("cat.jpg").await;
        let mut picture =
            json!({"media_group_id": "77", "photo": [{"file_id": file.file_id, "file_size": PHOTO.len()}]});
        for (name, value) in fields.as_object().unwrap() {
            picture[name] = value.clone();
        }
        self.ann.sends(update, "message", picture).await
    }
}

/// Runs the next message and returns it, or `null`.
pub async fn run(worker: &TestWorker<'_>) -> Value {
    let job = worker.poll(json!({})).await["job"].clone();
    if !job.is_null() {
        worker.complete(&job, json!({})).await.body_of(200);
    }
    job
}

pub fn text(job: &Value) -> &str {
    job["payload"]["messageText"].as_str().unwrap_or_else(|| panic!("{job}"))
}

#[tokio::test]
async fn a_message_and_its_edit_with_equal_text_are_one_run() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let file = json!({"file_id": "an-id", "file_unique_id": "u", "file_size": 30_000_000});
    for (update, fields) in [
        (1, json!({"text": "see https://example.com"})),
        (11, json!({"document": file, "caption": "read this"})),
        (21, json!({"text": "long ".repeat(3_000)})),
    ] {
        chat.ann.says(update, fields.clone()).await;
        let waiting = chat.edits(update + 1, update, fields.clone()).await;
        assert_eq!(waiting["ignored"], "edit_without_change");
        let job = worker.poll(json!({})).await["job"].clone();
        let running = chat.edits(update + 2, update, fields.clone()).await;
        worker.complete(&job, json!({})).await.body_of(200);
        let ended = chat.edits(update + 3, update, fields).await;
        assert_eq!((&running, &ended), (&waiting, &waiting));
        assert!(run(&worker).await.is_null());
    }
}

#[tokio::test]
pub async fn an_edit_of_a_message_that_waits_replaces_its_text() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let id = chat.ann.says(1, json!({"text": "teh"})).await;
    let edited = chat.edits(2, 1, json!({"text": "the", "edit_date": 20})).await;
    assert_eq!(edited, json!({"ok": true, "messageId": id, "changed": "edit"}));
    let late = chat.edits(3, 1, json!({"text": "th", "edit_date": 10})).await;
    assert_eq!(late["ignored"], "edit_overtaken", "Telegram has sent an older edit again");
    let job = run(&worker).await;
    assert_eq!((text(&job), &job["messageId"]), ("the", &json!(id)));
    let metadata = &job["payload"]["metadata"];
    assert!(metadata["telegramEdited"].is_null(), "the agent never saw the old text");
    assert_eq!(metadata["providerUserId"], CHAT.to_string());
    let huge = chat.ann.says(10, json!({"text": "short"})).await;
    let edited = chat.edits(11, 10, json!({"text": "x".repeat(300_000)})).await;
    assert_eq!(edited["ignored"], "payload_too_large");
    assert_eq!(run(&worker).await["messageId"], json!(huge));
    assert!(run(&worker).await.is_null());
}

#[tokio::test]
async fn a_text_of_any_size_is_replaced_by_a_text_of_any_size() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let (short, long) = ("short".to_owned(), "long ".repeat(3_000));
    for (update, first, second) in [(1, &short, &long), (11, &long, &short), (21, &long, &format!("{long}!"))]
    {
        chat.ann.says(update, json!({"text": first})).await;
        let edited = chat.edits(update + 1, update, json!({"text": second})).await;
        assert_eq!(edited["changed"], "edit");
        assert_eq!(text(&run(&worker).await), second);
    }
    let payloads =
        |items: &[Value]| items.iter().filter(|i| i["sk"]["S"].as_str().unwrap().starts_with("P#")).count();
    assert_eq!(payloads(&chat.world.items().await), 2, "the payload that became small is gone");
}

#[tokio::test]
async fn an_edit_of_a_message_that_ran_is_a_new_message() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let id = chat.ann.says(1, json!({"text": "tea"})).await;
    let job = worker.poll(json!({})).await["job"].clone();
    let while_it_runs = chat.edits(2, 1, json!({"text": "coffee"})).await;
    assert_ne!(while_it_runs["messageId"], json!(id));
    worker.complete(&job, json!({})).await.body_of(200);
    let job = run(&worker).await;
    assert_eq!((text(&job), &job["payload"]["metadata"]["telegramEdited"]), ("coffee", &json!("true")));
    let repeated = chat.edits(2, 1, json!({"text": "coffee"})).await;
    assert_eq!(repeated["ignored"], "edit_without_change", "it equals the newest form");
    chat.world.advance(Millis::from_secs(1));
    let after_it_ran = chat.edits(3, 1, json!({"text": "water"})).await;
    assert_eq!(after_it_ran["duplicate"], false);
    assert_eq!(text(&run(&worker).await), "water");
    let unknown = chat.edits(4, 99, json!({"text": "of a message before the bot"})).await;
    assert_eq!(unknown["duplicate"], false);
}

#[tokio::test]
async fn an_edited_file_is_fetched_before_its_message_is_claimed() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    chat.ann.sends_photo(1).await;
    chat.ann.fetch(&chat.world.bundle).await;
    let file = chat.ann.file("dog.jpg").await;
    let edited = chat.edits(2, 1, json!({"photo": [{"file_id": file.file_id}], "caption": "my dog"})).await;
    assert_eq!(edited["changed"], "edit");
    assert!(run(&worker).await.is_null(), "the new file is not fetched yet");
    chat.ann.fetch(&chat.world.bundle).await;
    let job = run(&worker).await;
    let files = &job["payload"]["attachments"];
    assert_eq!((text(&job), files.as_array().unwrap().len()), ("my dog", 1));
    assert_eq!((&files[0]["telegramFileId"], &files[0]["status"]), (&json!(file.file_id), &json!("ready")));
}

#[tokio::test]
async fn an_update_number_that_is_used_again_for_another_message_is_a_new_message() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let first = chat.ann.says(1, json!({"text": "a", "message_id": 10})).await;
    let again = chat.ann.sends(1, "message", json!({"text": "a", "message_id": 10})).await;
    assert_eq!(again, json!({"ok": true, "messageId": first, "duplicate": true}));
    let other = chat.ann.sends(1, "message", json!({"text": "a", "message_id": 11})).await;
    assert_eq!(other["duplicate"], false);
    let repeated = chat.ann.sends(1, "message", json!({"text": "a", "message_id": 11})).await;
    assert_eq!((&repeated["duplicate"], &repeated["messageId"]), (&json!(true), &other["messageId"]));
    let ran = [run(&worker).await, run(&worker).await];
    assert_eq!(
        ran.each_ref().map(|job| job["messageId"].clone()),
        [json!(first), other["messageId"].clone()]
    );
}

#[tokio::test]
async fn the_files_of_an_album_are_one_message() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let first = chat.picture(1, json!({})).await;
    chat.ann.fetch(&chat.world.bundle).await;
    assert!(run(&worker).await.is_null(), "the first file is fetched, and more may come");
    let second = chat.picture(2, json!({"caption": "my cats"})).await;
    assert_eq!(second, json!({"ok": true, "messageId": first["messageId"], "changed": "album"}));
    assert_eq!(chat.picture(3, json!({})).await["changed"], "album");
    let repeated =
        chat.ann.sends(3, "message", json!({"media_group_id": "77", "photo": [{"file_id": "x"}]})).await;
    assert_eq!((&repeated["duplicate"], &repeated["messageId"]), (&json!(true), &first["messageId"]));
    chat.ann.fetch(&chat.world.bundle).await;
    chat.world.advance(ALBUM_WAIT);
    let job = run(&worker).await;
    let files = job["payload"]["attachments"].as_array().unwrap();
    assert_eq!((text(&job), files.len()), ("my cats", 3));
    assert!(files.iter().all(|file| file["status"] == "ready"), "{files:?}");
    assert_eq!(job["payload"]["metadata"]["telegramAlbumMessageIds"], "1,2,3");
    assert!(run(&worker).await.is_null());

    let late = chat.picture(4, json!({})).await;
    assert_eq!(late["duplicate"], false, "the message of the album has ended");
    chat.ann.fetch(&chat.world.bundle).await;
    assert_eq!(text(&run(&worker).await), "[photo]");
}

#[tokio::test]
async fn a_replaced_file_of_a_waiting_album_takes_the_place_of_the_old_one() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    for update in 1..=3 {
        chat.picture(update, json!({})).await;
    }
    chat.ann.fetch(&chat.world.bundle).await;
    let dog = chat.ann.file("dog.jpg").await;
    let edit = json!({"media_group_id": "77", "photo": [{"file_id": dog.file_id}], "caption": "a dog"});
    assert_eq!(chat.edits(4, 2, edit.clone()).await["changed"], "edit");
    assert!(run(&worker).await.is_null(), "the new file is not fetched yet");
    assert_eq!(chat.edits(5, 2, edit).await["ignored"], "edit_without_change");
    chat.ann.fetch(&chat.world.bundle).await;
    chat.world.advance(ALBUM_WAIT);
    let job = run(&worker).await;
    let files = job["payload"]["attachments"].as_array().unwrap();
    assert_eq!((text(&job), files.len()), ("a dog", 3));
    let places: Vec<_> = files.iter().map(|file| file["telegramFileId"] == json!(dog.file_id)).collect();
    assert_eq!(places, [false, true, false]);
    assert!(files.iter().all(|file| file["status"] == "ready"), "{files:?}");
}

#[tokio::test]
async fn a_bot_whose_agent_is_gone_talks_for_the_fallback_agent() {
    let chat = Chat::new().await;
    chat.world.agent("helper").await;
    chat.configure(json!({"fallbackAgentKey": "helper"})).await;
    let table = chat.world.bundle.template.tables[0].name.clone();
    let key = json!({"pk": {"S": "A"}, "sk": {"S": "demo"}});
    let deleted = json!({"TableName": table, "Key": key});
    assert_eq!(chat.world.bundle.aws.engine().call("DeleteItem", deleted).await.status, 200);
    let id = chat.ann.says(1, json!({"text": "hi"})).await;
    let message = chat.world.message(&json!(id)).await;
    assert_eq!(message["agentKey"], "helper", "{message}");
    chat.configure(json!({"fallbackAgentKey": "absent"})).await;
    let ignored = chat.ann.sends(2, "message", json!({"text": "hi"})).await;
    assert_eq!(ignored["ignored"], "not_found", "there is no fallback agent either");
}

#[tokio::test]
async fn a_file_that_joins_an_album_during_the_fetch_is_fetched_too() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let id = chat.picture(1, json!({})).await["messageId"].clone();
    let message = af_domain::ids::MessageId::parse(id.as_str().unwrap()).unwrap();
    let read = chat.world.app.store.message(&message, chat.world.app.now(), true).await.unwrap().unwrap();
    chat.picture(2, json!({})).await;
    let results = [read.payload.attachments[0].clone().failed("it is gone".into())];
    af_app::files::attachments::store_results(&chat.world.app, &read, &results).await.unwrap();
    let shown = chat.world.message(&id).await["payload"]["attachments"].clone();
    assert_eq!(shown.as_array().unwrap().len(), 2, "the results of an older list are not stored: {shown}");
    chat.ann.fetch(&chat.world.bundle).await;
    chat.world.advance(ALBUM_WAIT);
    let job = run(&worker).await;
    assert_eq!((text(&job), job["payload"]["attachments"].as_array().unwrap().len()), ("[album]", 2));
}

#[tokio::test]
async fn only_bound_users_may_write_when_a_binding_is_required() {
    let chat = Chat::new().await;
    chat.configure(json!({"requireBinding": true, "texts": {"unbound": "Connect first."}})).await;
    let rejected = json!({"ok": true, "rejected": "unbound_user"});
    let says = async |update, fields| chat.ann.sends(update, "message", fields).await;
    for _ in 0..2 {
        assert_eq!(says(1, json!({"text": "hi"})).await, rejected);
    }
    assert_eq!(chat.notices().await, [r#"Notice("Connect first.")"#], "one notice");
    chat.world.advance(Millis::from_secs(3_601));
    assert_eq!(says(1, json!({"text": "hi"})).await, rejected);
    assert_eq!(chat.notices().await.len(), 2, "one notice an hour");
    let group = json!({"text": "/hi", "chat": {"id": -5, "type": "group"}});
    assert_eq!(says(2, group.clone()).await, rejected);
    let identity = json!({"botIdentity": chat.ann.bot.id.to_string(), "userId": CHAT.to_string(), "chatId": CHAT.to_string()});
    let binding = json!({"agentKey": "demo", "telegram": identity});
    chat.world.api.put("/v1/users/ann/binding", binding).send().await.body_of(200);
    let anonymous = json!({"text": "/hi", "chat": {"id": -5, "type": "group"}, "sender_chat": {"id": -5, "type": "group"}});
    assert_eq!(says(3, anonymous).await, rejected, "an anonymous administrator is no user");
    let worker = chat.world.worker("w").await;
    assert_eq!(says(4, json!({"text": "hi"})).await["duplicate"], false);
    let job = run(&worker).await;
    assert_eq!(job["conversationId"], "user-agent:demo:ann");
    assert_eq!(says(5, group).await["duplicate"], false, "a bound user may write in a group");
    chat.configure(json!({"resolveAgentKeyFromBinding": false})).await;
    assert_eq!(says(6, json!({"text": "hi"})).await["duplicate"], false);
    let ids = [run(&chat.world.worker("x").await).await, run(&chat.world.worker("y").await).await];
    let own = json!(format!("telegram:{}:{CHAT}", chat.ann.bot.id));
    assert!(ids.iter().any(|job| job["conversationId"] == own), "{ids:?}");
}

#[tokio::test]
async fn a_chat_over_its_limit_is_rejected_until_its_allowance_returns() {
    let chat = Chat::new().await;
    chat.configure(json!({"maxPerMinute": 20, "maxBurst": 3, "texts": {"rateLimit": "Too fast."}})).await;
    let says = async |update| chat.ann.sends(update, "message", json!({"text": "hi"})).await;
    for update in 1..=3 {
        assert_eq!(says(update).await["duplicate"], false);
    }
    assert_eq!(says(4).await, json!({"ok": true, "rejected": "rate_limited"}));
    assert_eq!(chat.notices().await, [r#"Notice("Too fast.")"#]);
    assert_eq!(says(3).await["duplicate"], true, "a repetition is not limited");
    assert_eq!(chat.edits(20, 3, json!({"text": "ho"})).await["changed"], "edit", "an edit is not limited");
    assert_eq!(says(21).await["rejected"], "rate_limited");
    chat.world.advance(Millis::new(2_999));
    assert_eq!(says(4).await["rejected"], "rate_limited");
    chat.world.advance(Millis::new(1));
    assert_eq!(
        says(4).await["duplicate"],
        false,
        "Telegram sends the same update never again, but a test may"
    );
    assert_eq!(says(5).await["rejected"], "rate_limited");
    assert_eq!(chat.notices().await.len(), 1, "one notice a minute");
    chat.world.advance(Millis::from_secs(3_600));
    for update in 5..=7 {
        assert_eq!(says(update).await["duplicate"], false);
    }
    assert_eq!(says(8).await["rejected"], "rate_limited", "an hour does not save more than one burst");
    chat.configure(json!({"maxPerMinute": 20, "maxBurst": 4})).await;
    assert_eq!(says(9).await["duplicate"], false, "a higher limit is in force at once");
}
