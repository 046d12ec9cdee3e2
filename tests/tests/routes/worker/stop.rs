//! A person stops the agent: with `/stop`, or with the button below a draft.

use serde_json::{Value, json};

use af_tests::telegram::CHAT;

use crate::worker::ingress::{Chat, run};

impl Chat {
    async fn status(&self, id: &str) -> String {
        self.world.message(&json!(id)).await["status"].as_str().unwrap().to_owned()
    }

    async fn stops(&self, update: u64, fields: Value) -> Value {
        self.ann.sends(update, "message", fields).await
    }

    /// Binds the person to a user, in whose conversation the messages then are.
    async fn bind(&self) {
        let body = json!({"agentKey": "demo", "telegram":
            {"botIdentity": self.ann.bot.id.to_string(), "chatId": CHAT.to_string(), "userId": CHAT.to_string()}});
        self.world.api.put("/v1/users/ann/binding", body).send().await.body_of(200);
    }
}

#[tokio::test]
async fn stop_cancels_the_running_and_the_waiting_messages_of_a_bound_user() {
    let chat = Chat::new().await;
    chat.bind().await;
    let worker = chat.world.worker("w").await;
    let running = chat.ann.says(1, json!({"text": "one"})).await;
    let job = worker.poll(json!({})).await["job"].clone();
    assert_eq!(job["conversationId"], "user-agent:demo:ann");
    let waiting =
        [chat.ann.says(2, json!({"text": "two"})).await, chat.ann.says(3, json!({"text": "three"})).await];
    let elsewhere = json!({"chat": {"id": 777, "type": "private"}, "from": {"id": 777, "first_name": "Bob"}});
    let other = chat.ann.says(4, merged(&elsewhere, json!({"text": "of another chat"}))).await;
    let stopped = chat.stops(5, json!({"text": "/stop"})).await;
    assert_eq!(stopped, json!({"ok": true, "cancelled": 3}));
    for id in &waiting {
        assert_eq!(chat.status(id).await, "cancelled");
    }
    let path = format!("messages/{running}/heartbeat");
    let lease = json!({"leaseId": job["leaseId"], "fence": job["fence"]});
    let beat = worker.post(&path, lease).await.body_of(200);
    assert_eq!(beat["cancelled"], true, "{beat}");
    worker.complete(&job, json!({"reply": {"text": "late"}})).await;
    assert_eq!(chat.status(&running).await, "cancelled");
    assert_eq!(chat.status(&other).await, "queued");
    for _ in 0..2 {
        chat.stops(5, json!({"text": "/stop"})).await;
    }
    let again = chat.stops(6, json!({"text": "/stop"})).await;
    assert_eq!(again, json!({"ok": true, "cancelled": 0}));
    let outboxes = chat.world.api.get("/v1/outbox").send().await.body_of(200);
    let notices: Vec<_> =
        outboxes["items"][0]["items"].as_array().unwrap().iter().map(|item| item["notice"].clone()).collect();
    assert_eq!(
        notices,
        ["Stopped.", "There is nothing to stop."],
        "an update that comes again gets no second notice"
    );
    chat.ann.says(7, json!({"text": "go on"})).await;
    assert!(!run(&worker).await.is_null(), "the conversation goes on");
}

#[tokio::test]
async fn the_stop_button_works_in_an_unbound_chat_and_a_chat_without_messages_has_nothing_to_stop() {
    let chat = Chat::new().await;
    let pressed = |update: u64| {
        chat.ann.updates(json!({
            "update_id": update,
            "stopped_message_generation": {"chat": {"id": CHAT, "type": "private"}, "draft_id": 9},
        }))
    };
    assert_eq!(pressed(1).await, json!({"ok": true, "cancelled": 0}));
    let id = chat.ann.says(2, json!({"text": "one"})).await;
    assert_eq!(pressed(3).await, json!({"ok": true, "cancelled": 1}));
    assert_eq!(chat.status(&id).await, "cancelled");
    chat.configure(json!({"requireBinding": true})).await;
    assert_eq!(pressed(4).await, json!({"ok": true, "rejected": "unbound_user"}));
}

#[tokio::test]
async fn stop_in_a_topic_leaves_the_other_topics_and_a_command_for_another_bot_stops_nothing() {
    let chat = Chat::new().await;
    let forum = json!({"id": -1_001, "type": "supergroup", "is_forum": true});
    let in_topic = |topic: u64, text: &str| json!({"text": text, "chat": forum, "message_thread_id": topic, "is_topic_message": true});
    let one = chat.ann.says(1, in_topic(3, "/hi")).await;
    let two = chat.ann.says(2, in_topic(4, "/hi")).await;
    let foreign = chat.stops(3, in_topic(3, "/stop@another_bot")).await;
    assert_eq!(foreign, json!({"ok": true, "ignored": "not_addressed"}));
    let stop = format!("/stop@{}", chat.ann.bot.username);
    assert_eq!(chat.stops(4, in_topic(3, &stop)).await, json!({"ok": true, "cancelled": 1}));
    assert_eq!((chat.status(&one).await, chat.status(&two).await), ("cancelled".into(), "queued".into()));
}

fn merged(one: &Value, other: Value) -> Value {
    let mut all = one.clone();
    for (name, value) in other.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}
