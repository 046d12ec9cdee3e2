//! Replies reach their chat through the outbox: once, in order, and only while the chat is that of their user.

use af_app::outbox::deliver_due;
use af_domain::time::Millis;
use af_emulator_telegram::{Fault, OutboxMessage};
use af_tests::telegram::{CHAT, Person};
use serde_json::{Value, json};

use crate::worker::{TestWorker, World};

/// A deployment with a bot, a person who writes to it, and a worker.
struct Chat {
    world: World,
    ann: Person,
}

impl Chat {
    async fn new() -> Self {
        let (world, ann) = World::with_person().await;
        Self { world, ann }
    }

    /// The person says something, and the worker answers with `reply`.
    async fn answers(&self, worker: &TestWorker<'_>, update: u64, reply: Value) -> String {
        let id = self.ann.says(update, json!({"text": "hello"})).await;
        self.answers_next(worker, reply).await;
        id
    }

    /// The worker answers the next message with `reply`.
    async fn answers_next(&self, worker: &TestWorker<'_>, reply: Value) {
        let job = worker.poll(json!({})).await["job"].clone();
        worker.complete(&job, json!({"reply": reply})).await.body_of(200);
    }

    /// The texts that have arrived, in order.
    fn texts(&self) -> Vec<String> {
        self.sent().into_iter().map(|sent| sent.text).collect()
    }

    fn sent(&self) -> Vec<OutboxMessage> {
        self.ann.telegram.outbox(Some(self.ann.bot.id), None, 1_000)
    }

    async fn shown(&self, id: &str) -> Value {
        self.world.message(&json!(id)).await
    }

    async fn delivery(&self, id: &str) -> Value {
        self.shown(id).await["delivery"].clone()
    }

    /// The scheduled run of the outboxes, after this time.
    async fn after(&self, wait: Millis) {
        self.world.advance(wait);
        deliver_due(&self.world.bundle.restricted_app("effects")).await.unwrap();
    }

    fn fault(&self, fault: &Fault, times: usize) {
        self.ann.telegram.fault("sendMessage", fault, times);
    }

    async fn bind(&self, user: &str) {
        let body = json!({"agentKey": "demo", "telegram":
            {"botIdentity": self.ann.bot.id.to_string(), "chatId": CHAT.to_string(), "userId": CHAT.to_string()}});
        self.world.api.put(&format!("/v1/users/{user}/binding"), body).send().await.body_of(200);
    }
}

fn minutes(n: u64) -> Millis {
    Millis::from_secs(60 * n)
}

#[tokio::test]
async fn a_reply_is_in_the_chat_when_its_completion_is_answered() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let id = chat.answers(&worker, 1, json!({"text": "hi there"})).await;
    let sent = chat.sent();
    assert_eq!((sent.len(), sent[0].text.as_str(), sent[0].chat_id), (1, "hi there", CHAT));
    let address = format!("{}:{CHAT}", chat.ann.bot.id);
    let part = json!([{"state": "sent", "messageId": sent[0].message_id}]);
    assert_eq!(chat.delivery(&id).await, json!({"state": "sent", "chat": address, "parts": part}));
    chat.after(minutes(10)).await;
    assert_eq!(chat.sent().len(), 1);
}

#[tokio::test]
async fn a_429_of_300_seconds_is_waited_out_without_an_attempt_and_without_another_run() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    chat.fault(&Fault::rate_limited(300), 1);
    let id = chat.answers(&worker, 1, json!({"text": "late"})).await;
    assert_eq!(
        (&chat.shown(&id).await["status"], &chat.delivery(&id).await["state"]),
        (&json!("done"), &json!("waiting"))
    );
    chat.after(Millis::from_secs(299)).await;
    assert_eq!(chat.sent().len(), 0);
    chat.after(Millis::from_secs(1)).await;
    assert_eq!((chat.texts(), &chat.delivery(&id).await["state"]), (vec!["late".to_owned()], &json!("sent")));
    assert_eq!(chat.shown(&id).await["attempts"], 1);
}

#[tokio::test]
async fn a_429_on_a_later_part_leaves_each_part_once_and_in_order() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let parts: Vec<String> = (0..12).map(|i| format!("{i:02}{}", "x".repeat(4_000))).collect();
    chat.ann.telegram.succeed("sendMessage", 4);
    chat.fault(&Fault::rate_limited(60), 1);
    let id = chat.answers(&worker, 1, json!({"text": parts.join("\n\n")})).await;
    while chat.delivery(&id).await["state"] == "waiting" {
        chat.after(Millis::from_secs(61)).await;
    }
    assert_eq!(chat.texts(), parts);
    assert_eq!(chat.delivery(&id).await["parts"].as_array().unwrap().len(), 12);
    assert_eq!(chat.shown(&id).await["attempts"], 1);
}

#[tokio::test]
async fn a_person_who_blocked_the_bot_gets_nothing_and_the_reply_is_kept() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    chat.fault(&Fault::new(403, "Forbidden: bot was blocked by the user"), 1);
    let id = chat.answers(&worker, 1, json!({"text": "for the record"})).await;
    let shown = chat.shown(&id).await;
    assert_eq!((&shown["status"], &shown["reply"]), (&json!("done"), &json!("for the record")));
    let delivery = &shown["delivery"];
    assert_eq!((&delivery["state"], &delivery["parts"]), (&json!("failed"), &json!([{"state": "failed"}])));
    assert!(delivery["reason"].as_str().unwrap().contains("blocked by the user"), "{delivery}");
    chat.answers(&worker, 2, json!({"text": "next"})).await;
    assert_eq!(chat.texts(), ["next"], "the failed one does not block the chat");
}

#[tokio::test]
async fn a_reply_whose_answer_was_lost_is_uncertain_and_is_sent_again_only_by_an_operator() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    chat.fault(&Fault::answer_lost(), 1);
    let id = chat.answers(&worker, 1, json!({"text": "once?"})).await;
    chat.after(minutes(10)).await;
    assert_eq!(chat.delivery(&id).await["state"], "uncertain");
    assert_eq!(chat.texts(), ["once?"]);
    let resend = format!("/v1/messages/{id}/resend");
    chat.world.api.post(&resend, json!({})).send().await.body_of(200);
    chat.after(minutes(1)).await;
    assert_eq!((chat.texts().len(), &chat.delivery(&id).await["state"]), (2, &json!("sent")));
}

#[tokio::test]
async fn a_reply_is_not_sent_to_a_chat_that_its_user_has_lost() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    chat.bind("ann").await;
    chat.fault(&Fault::rate_limited(30), 1);
    let id = chat.answers(&worker, 1, json!({"text": "for ann"})).await;
    assert_eq!(chat.delivery(&id).await["state"], "waiting");
    chat.bind("bob").await;
    chat.after(minutes(1)).await;
    assert_eq!(chat.texts(), Vec::<String>::new());
    let delivery = chat.delivery(&id).await;
    assert_eq!((&delivery["state"], &delivery["reason"]), (&json!("cancelled"), &json!("rebound")));
    let of_ann = chat.world.api.get(&format!("/v1/users/ann/messages/{id}")).send().await.body_of(200);
    assert_eq!(of_ann["reply"], "for ann", "the app can read it");
}

#[tokio::test]
async fn the_messages_of_a_chat_stay_in_order_when_the_first_must_wait() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    chat.fault(&Fault::rate_limited(120), 1);
    chat.answers(&worker, 1, json!({"text": "first"})).await;
    chat.answers(&worker, 2, json!({"text": "second"})).await;
    assert_eq!(chat.texts(), Vec::<String>::new());
    chat.after(Millis::from_secs(120)).await;
    assert_eq!(chat.texts(), ["first", "second"]);
}

#[tokio::test]
async fn a_reply_into_a_topic_that_is_gone_goes_to_the_chat() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    chat.ann.says(1, json!({"text": "hello", "message_thread_id": 9, "is_topic_message": true})).await;
    chat.fault(&Fault::new(400, "Bad Request: message thread not found"), 1);
    chat.answers_next(&worker, json!({"text": "hi"})).await;
    let sent = chat.sent();
    assert_eq!((sent.len(), sent[0].message_thread_id), (1, None));
    chat.ann.says(2, json!({"text": "hello", "message_thread_id": 9, "is_topic_message": true})).await;
    chat.answers_next(&worker, json!({"text": "hi"})).await;
    assert_eq!(chat.sent()[1].message_thread_id, Some(9));
}

#[tokio::test]
async fn a_blank_reply_and_the_reply_to_a_cancelled_message_are_not_sent() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let blank = chat.answers(&worker, 1, json!({"text": " \n "})).await;
    assert_eq!(chat.shown(&blank).await["delivery"], Value::Null);
    let id = chat.ann.says(2, json!({"text": "hello"})).await;
    let job = worker.poll(json!({})).await["job"].clone();
    chat.world.api.post(&format!("/v1/queue/{id}/cancel"), json!({})).send().await.body_of(202);
    worker.complete(&job, json!({"reply": {"text": "too late"}})).await.body_of(200);
    chat.after(minutes(10)).await;
    assert_eq!(chat.texts(), Vec::<String>::new());
}

#[tokio::test]
async fn a_reply_waits_while_telegram_refuses_the_token_or_the_token_is_missing() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    chat.fault(&Fault::new(401, "Unauthorized"), 2);
    let id = chat.answers(&worker, 1, json!({"text": "soon"})).await;
    assert_eq!(chat.delivery(&id).await["state"], "waiting");
    chat.after(minutes(5)).await;
    assert_eq!(chat.texts(), ["soon"]);
}

#[tokio::test]
async fn a_person_whose_message_became_a_dead_letter_gets_a_notice_once() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let fail = async |update: u64, retryable: bool| {
        chat.ann.says(update, json!({"text": "hello"})).await;
        let job = worker.poll(json!({})).await["job"].clone();
        let path = format!("messages/{}/fail", job["messageId"].as_str().unwrap());
        let body = json!({
            "leaseId": job["leaseId"], "fence": job["fence"], "errorMessage": "no", "retryable": retryable,
        });
        for _ in 0..2 {
            worker.post(&path, body.clone()).await.body_of(200);
        }
        chat.after(minutes(0)).await;
    };
    fail(1, false).await;
    assert_eq!(chat.texts(), ["Sorry, I could not answer your last message. Please send it again later."]);
    let config = json!({"texts": {"failure": ""}});
    chat.world.api.put("/v1/config/ingress", config).send().await.body_of(200);
    chat.world.advance(minutes(1));
    fail(2, false).await;
    fail(3, true).await;
    assert_eq!(chat.texts().len(), 1, "an empty text sends none, and a retry is no end");
}

impl Chat {
    /// What the message waits for, the state of its delivery and the reason.
    async fn why(&self, id: &str) -> (String, Value, String) {
        let why = self.world.api.get(&format!("/v1/queue/{id}/why")).send().await.body_of(200);
        assert_eq!(why["status"], "done");
        let word = |field: &str| why[field].as_str().unwrap_or_default().to_owned();
        (word("waitsFor"), why["until"].clone(), format!("{}: {}", word("delivery"), word("reason")))
    }
}

#[tokio::test]
async fn the_queue_explains_what_became_of_the_reply_of_a_done_message() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    chat.fault(&Fault::rate_limited(300), 1);
    let first = chat.answers(&worker, 1, json!({"text": "one"})).await;
    let second = chat.answers(&worker, 2, json!({"text": "two"})).await;
    let until = json!((chat.world.app.now() + Millis::from_secs(300)).as_millis());
    let (waits_for, waits_until, reason) = chat.why(&first).await;
    assert_eq!((waits_for.as_str(), &waits_until), ("delivery", &until));
    assert!(reason.starts_with("waiting: ") && reason.contains("Telegram asks to wait"), "{reason}");
    assert!(chat.why(&second).await.2.contains("behind another message"));
    chat.after(minutes(5)).await;
    let (waits_for, waits_until, reason) = chat.why(&first).await;
    assert_eq!((waits_for.as_str(), &waits_until), ("nothing", &Value::Null));
    assert!(reason.starts_with("sent: "), "{reason}");
    chat.fault(&Fault::answer_lost(), 1);
    let lost = chat.answers(&worker, 3, json!({"text": "three"})).await;
    let reason = chat.why(&lost).await.2;
    assert!(reason.starts_with("uncertain: ") && reason.contains(&format!("{lost}/resend")), "{reason}");
    chat.fault(&Fault::new(403, "Forbidden: bot was blocked by the user"), 1);
    let blocked = chat.answers(&worker, 4, json!({"text": "four"})).await;
    let reason = chat.why(&blocked).await.2;
    assert!(reason.starts_with("failed: ") && reason.contains("blocked by the user"), "{reason}");
}

#[tokio::test]
async fn the_queue_explains_a_reply_whose_chat_belongs_to_another_user() {
    let chat = Chat::new().await;
    chat.bind("ann").await;
    let worker = chat.world.worker("w").await;
    chat.fault(&Fault::rate_limited(300), 1);
    let id = chat.answers(&worker, 1, json!({"text": "for ann"})).await;
    chat.bind("bob").await;
    chat.after(minutes(5)).await;
    let reason = chat.why(&id).await.2;
    assert!(reason.starts_with("cancelled: ") && reason.ends_with(": rebound"), "{reason}");
}

#[tokio::test]
async fn an_unknown_format_is_refused_and_names_the_field() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    chat.ann.says(1, json!({"text": "hello"})).await;
    let job = worker.poll(json!({})).await["job"].clone();
    let refused = worker.complete(&job, json!({"reply": {"text": "x", "format": "rtf"}})).await.body_of(422);
    assert_eq!(refused["errors"][0]["pointer"], "/reply/format", "{refused}");
}
