//! Attachments: they are fetched from Telegram before their message is claimed, and workers get links to them.

use af_domain::attachment::MAX_WAIT;
use af_domain::time::Millis;
use af_emulator_telegram::Fault;
use af_tests::telegram::{PHOTO, Person};
use serde_json::{Value, json};

use crate::worker::{TestWorker, World};

/// A deployment with a bot, and a person who sends files to it.
struct Chat {
    world: World,
    ann: Person,
}

impl Chat {
    async fn new() -> Self {
        let (world, ann) = World::with_person().await;
        Self { world, ann }
    }

    async fn fetch(&self) -> Vec<Millis> {
        self.ann.fetch(&self.world.bundle).await
    }

    async fn shown(&self, id: &str) -> Value {
        self.world.message(&json!(id)).await["payload"]["attachments"].clone()
    }

    async fn why(&self, id: &str) -> Value {
        self.world.api.get(&format!("/v1/queue/{id}/why")).send().await.body_of(200)
    }
}

async fn job(worker: &TestWorker<'_>) -> Value {
    worker.poll(json!({})).await
}

#[tokio::test]
pub async fn a_photo_is_fetched_before_its_message_is_claimed_and_downloaded_byte_for_byte() {
    let chat = Chat::new().await;
    let world = &chat.world;
    let id = chat.ann.sends_photo(1).await;
    let worker = world.worker("w").await;
    assert!(job(&worker).await["job"].is_null(), "the photo is not fetched yet");
    let why = chat.why(&id).await;
    let until = world.app.now() + MAX_WAIT;
    assert_eq!((&why["waitsFor"], &why["until"]), (&json!("attachments"), &json!(until.as_millis())));
    assert_eq!(chat.shown(&id).await[0]["status"], "pending");
    assert_eq!(chat.fetch().await, []);

    let polled = job(&worker).await;
    let attachments = &polled["job"]["payload"]["attachments"];
    let file = &attachments[0];
    let expires_at = world.app.now() + Millis::from_days(7);
    let expected = json!([{
        "kind": "photo", "status": "ready", "telegramFileId": file["telegramFileId"],
        "mimeType": "image/jpeg", "sizeBytes": PHOTO.len(), "storageId": file["storageId"],
        "expiresAt": expires_at.as_millis(), "downloadUrl": file["downloadUrl"],
    }]);
    assert_eq!(*attachments, expected);
    assert_eq!(polled["bundle"]["payload"], polled["job"]["payload"]);
    assert_eq!(polled["job"]["payload"]["messageText"], "my cat");
    let link = file["downloadUrl"].as_str().unwrap();
    let location = world.api.get(&link[link.find("/f/").unwrap()..]).anonymous().send().await;
    let got = world.http.get(location.headers["location"].to_str().unwrap()).send().await.unwrap();
    assert_eq!(got.headers()["content-type"], "image/jpeg");
    assert_eq!(got.bytes().await.unwrap(), PHOTO);
    let media = worker.get(&format!("media/{}", file["storageId"].as_str().unwrap())).await.body_of(200);
    assert_eq!(media["sizeBytes"], PHOTO.len());
    assert!(!format!("{:?}", world.items().await).contains(&chat.ann.bot.token));
    assert_eq!(chat.fetch().await, [], "a repeated batch has nothing to fetch");
}

#[tokio::test]
async fn a_message_is_claimed_without_an_attachment_that_is_not_fetched_in_time() {
    let chat = Chat::new().await;
    let id = chat.ann.sends_photo(1).await;
    let worker = chat.world.worker("w").await;
    chat.world.advance(Millis::new(MAX_WAIT.as_millis() - 1));
    assert!(job(&worker).await["job"].is_null());
    chat.world.advance(Millis::new(1));
    let polled = job(&worker).await;
    assert_eq!(
        (&polled["job"]["messageId"], &polled["job"]["payload"]["attachments"]),
        (&json!(id), &json!([]))
    );
    chat.fetch().await;
    let shown = chat.shown(&id).await;
    assert_eq!(shown[0]["status"], "failed");
    assert!(shown[0]["error"].as_str().unwrap().contains("did not wait"), "{shown}");
    worker.complete(&polled["job"], json!({})).await.body_of(200);
}

#[tokio::test]
async fn a_later_message_waits_behind_a_photo_and_a_message_with_higher_priority_does_not() {
    let chat = Chat::new().await;
    let (photo, text) =
        (chat.ann.sends_photo(1).await, chat.ann.says(2, json!({"text": "do you like it?"})).await);
    let worker = chat.world.worker("w").await;
    assert!(job(&worker).await["job"].is_null());
    let why = chat.why(&text).await;
    assert_eq!(
        (&why["waitsFor"], &why["behindMessageId"]),
        (&json!("another_message"), &json!(photo)),
        "{why}"
    );
    let urgent = json!({
        "conversationId": format!("telegram:{}:555", chat.ann.bot.id), "agentKey": "demo", "priority": 90,
        "payload": {"provider": "app", "providerUserId": "ann", "messageText": "stop"},
    });
    let urgent = chat.world.api.post("/v1/messages", urgent).send().await.body_of(202)["messageId"].clone();
    let first = job(&worker).await["job"].clone();
    assert_eq!(first["messageId"], urgent);
    chat.fetch().await;
    worker.complete(&first, json!({})).await.body_of(200);
    for expected in [photo, text] {
        let next = job(&worker).await["job"].clone();
        assert_eq!(next["messageId"], expected);
        worker.complete(&next, json!({})).await.body_of(200);
    }
}

#[tokio::test]
async fn an_attachment_that_cannot_be_fetched_is_failed_and_no_longer_delays_its_message() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let document = |id: &str, size: u64| json!({"document": {"file_id": id, "file_name": "report.pdf", "file_size": size}});
    let huge = chat.ann.says(1, document("huge", 30 << 20)).await;
    let polled = job(&worker).await;
    assert_eq!(polled["job"]["messageId"], huge, "a file above the limit of bots is not fetched");
    worker.complete(&polled["job"], json!({})).await.body_of(200);
    assert!(chat.shown(&huge).await[0]["error"].as_str().unwrap().contains("20971520"));

    let unknown = chat.ann.says(2, document("unknown-file", 7)).await;
    assert_eq!(chat.fetch().await, [], "a retry would not help");
    let polled = job(&worker).await;
    assert_eq!(
        (&polled["job"]["messageId"], &polled["job"]["payload"]["attachments"]),
        (&json!(unknown), &json!([]))
    );
    let shown = chat.shown(&unknown).await;
    assert_eq!((&shown[0]["status"], &shown[0]["fileName"]), (&json!("failed"), &json!("report.pdf")));
    assert!(shown[0]["error"].as_str().unwrap().contains("invalid file_id"), "{shown}");
}

#[tokio::test]
async fn a_fetch_is_retried_after_the_retry_time_of_telegram_and_a_limited_number_of_times() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    chat.ann.sends_photo(1).await;
    let busy = Fault::rate_limited(3);
    chat.ann.telegram.fault("getFile", &busy, 1);
    chat.ann.telegram.fault("getFile", &Fault::new(502, "Bad Gateway"), 1);
    assert_eq!(chat.fetch().await, [Millis::from_secs(3), Millis::from_secs(1)]);
    let polled = job(&worker).await;
    assert_eq!(polled["job"]["payload"]["attachments"][0]["status"], "ready");
    worker.complete(&polled["job"], json!({})).await.body_of(200);

    let unfetched = chat.ann.sends_photo(11).await;
    chat.ann.telegram.fault("getFile", &Fault::new(502, "Bad Gateway"), 3);
    assert_eq!(chat.fetch().await, [Millis::from_secs(1); 2], "there is no backoff after the last try");
    let polled = job(&worker).await;
    assert_eq!(polled["job"]["messageId"], unfetched);
    worker.complete(&polled["job"], json!({})).await.body_of(200);

    // Other batches wait behind this one, so it has no long backoff and skips a bot that must wait.
    let mut photos = Vec::new();
    for update in 2..=10 {
        photos.push(chat.ann.sends_photo(update).await);
    }
    chat.ann.telegram.fault("getFile", &Fault::rate_limited(6), 8);
    assert_eq!(chat.fetch().await, []);
    for id in &photos {
        let shown = chat.shown(id).await;
        assert!(
            shown[0]["error"].as_str().unwrap_or_default().starts_with("Telegram asks to wait"),
            "{shown}"
        );
    }
    assert_eq!(job(&worker).await["job"]["messageId"], photos[0]);
}

#[tokio::test]
async fn a_replaced_bot_token_is_read_again() {
    let chat = Chat::new().await;
    chat.ann.sends_photo(1).await;
    chat.fetch().await;
    // The same bot gets another token, so the cached token of the function is invalid.
    let fresh = format!("{}:{}", chat.ann.bot.id, "B".repeat(35));
    chat.ann.telegram.add_bot(Some(&fresh), None).unwrap();
    let token = json!({"plaintextValue": fresh});
    chat.world.api.put("/v1/agents/demo/telegram-token", token).send().await.body_of(200);
    let id = chat.ann.sends_photo(2).await;
    assert_eq!(chat.fetch().await, []);
    assert_eq!(chat.shown(&id).await[0]["status"], "ready");
}

#[tokio::test]
async fn an_expired_attachment_is_listed_and_not_served() {
    let chat = Chat::new().await;
    let world = &chat.world;
    let hour = Millis::from_secs(3_600);
    let config = json!({"telegramAttachmentRetentionMs": hour.as_millis()});
    world.api.put("/v1/config/message", config.clone()).send().await.body_of(200);
    assert_eq!(world.api.get("/v1/config/message").send().await.body_of(200), config);
    for wrong in [hour.as_millis() - 1, 366 * 24 * hour.as_millis()] {
        let body = json!({"telegramAttachmentRetentionMs": wrong});
        let refused = world.api.put("/v1/config/message", body).send().await;
        assert_eq!(
            (refused.problem(), refused.pointer()),
            ((422, "invalid_field"), "/telegramAttachmentRetentionMs")
        );
    }
    chat.ann.sends_photo(1).await;
    chat.fetch().await;
    world.advance(hour);
    let worker = world.worker("w").await;
    let polled = job(&worker).await;
    let file = &polled["job"]["payload"]["attachments"][0];
    assert_eq!((&file["status"], &file["downloadUrl"]), (&json!("expired"), &Value::Null));
    let path = format!("media/{}", file["storageId"].as_str().unwrap());
    assert_eq!(worker.get(&path).await.problem(), (404, "not_found"));
    assert!(world.objects.stored(&path).await.unwrap().is_some());
    assert_eq!(af_app::files::media::expire(&world.app, &world.objects).await.unwrap().gone, 1);
    assert!(world.objects.stored(&path).await.unwrap().is_none());
}

#[tokio::test]
async fn a_message_that_is_cancelled_while_its_file_is_fetched_stays_cancelled() {
    let chat = Chat::new().await;
    let id = chat.ann.sends_photo(1).await;
    chat.world.api.post(&format!("/v1/queue/{id}/cancel"), json!({})).send().await.body_of(200);
    chat.fetch().await;
    assert_eq!(chat.world.message(&json!(id)).await["status"], "cancelled");
    assert_eq!(chat.shown(&id).await[0]["status"], "failed", "the cancelled message does not need it");
    assert!(job(&chat.world.worker("w").await).await["job"].is_null());
}

impl Chat {
    /// The notices that the person has got or will get.
    async fn notices(&self) -> usize {
        let chat = af_domain::outbox::Chat::parse(&format!("{}:555", self.ann.bot.id)).unwrap();
        let outbox = self.world.app.store.outbox(&chat, true).await.unwrap();
        let text = |entry: &af_domain::outbox::Entry| {
            format!("{:?}", entry.content).contains("could not get a file")
        };
        outbox.iter().flat_map(|outbox| &outbox.entries).filter(|entry| text(entry)).count()
    }
}

#[tokio::test]
async fn a_person_gets_one_notice_about_a_message_that_goes_on_without_its_file() {
    let chat = Chat::new().await;
    chat.ann.sends_photo(1).await;
    chat.fetch().await;
    assert_eq!(chat.notices().await, 0, "the file has come");
    let document = |id: &str, size: u64| json!({"document": {"file_id": id, "file_size": size}});
    chat.ann.says(2, document("unknown-file", 7)).await;
    for _ in 0..2 {
        chat.fetch().await;
    }
    assert_eq!(chat.notices().await, 1, "a repeated batch sends none");
    for _ in 0..2 {
        chat.ann.says(3, document("huge", 30 << 20)).await;
    }
    assert_eq!(chat.notices().await, 2, "a file above the limit of bots is never fetched");
    chat.ann.sends_photo(4).await;
    chat.world.advance(MAX_WAIT);
    chat.fetch().await;
    assert_eq!(chat.notices().await, 3, "a file that is not fetched in time");
    let album =
        |id: &str, size: u64| json!({"media_group_id": "8", "document": {"file_id": id, "file_size": size}});
    for (update, id, size) in [(5, "a", 30 << 20), (6, "b", 7), (7, "c", 7), (8, "d", 30 << 20)] {
        chat.ann.says(update, album(id, size)).await;
        chat.fetch().await;
    }
    assert_eq!(chat.notices().await, 4, "one notice for the files of an album");
    let cancelled = chat.ann.sends_photo(9).await;
    chat.world.api.post(&format!("/v1/queue/{cancelled}/cancel"), json!({})).send().await.body_of(200);
    chat.fetch().await;
    let config = json!({"texts": {"missingFile": ""}});
    chat.world.api.put("/v1/config/ingress", config).send().await.body_of(200);
    chat.world.advance(Millis::from_secs(61));
    chat.ann.says(10, document("unknown-file", 7)).await;
    chat.ann.says(11, document("huge", 30 << 20)).await;
    chat.fetch().await;
    assert_eq!(chat.notices().await, 4, "neither a cancelled message nor an empty text sends one");
}
