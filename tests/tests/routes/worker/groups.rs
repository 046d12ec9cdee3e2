//! Groups, their topics, and their life as a supergroup.

use serde_json::{Value, json};

use crate::worker::TestWorker;
use crate::worker::ingress::{Chat, run, text};

fn group(id: i64) -> Value {
    json!({"id": id, "type": if id < -1_000_000_000 { "supergroup" } else { "group" }, "title": "Ops"})
}

fn of(user: i64, name: &str) -> Value {
    json!({"id": user, "first_name": name})
}

#[tokio::test]
async fn a_supergroup_goes_on_with_the_history_of_its_group() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let (old, new) = (group(-4_001), group(-1_001_234_567_890));
    chat.ann.says(1, json!({"text": "/remember X", "chat": old})).await;
    let job = worker.poll(json!({})).await["job"].clone();
    let said = json!({"history": [{"role": "user", "content": text(&job)}], "reply": {"text": "yes"}});
    worker.complete(&job, said).await.body_of(200);
    let to = json!({"chat": old, "migrate_to_chat_id": new["id"]});
    let from = json!({"chat": new, "migrate_from_chat_id": old["id"]});
    for (update, message) in [(2, &to), (3, &from), (4, &to)] {
        let answer = chat.ann.sends(update, "message", message.clone()).await;
        assert_eq!(answer, json!({"ok": true, "ignored": "group_migrated"}));
    }
    chat.ann.says(5, json!({"text": "/recall", "chat": new})).await;
    let polled = worker.poll(json!({"hydrate": true})).await;
    assert_eq!(polled["job"]["conversationId"], job["conversationId"]);
    assert!(polled["bundle"].to_string().contains("/remember X"), "{}", polled["bundle"]);
    assert_eq!(
        polled["job"]["payload"]["providerUserId"],
        new["id"].to_string(),
        "the reply goes to the new chat"
    );
}

#[tokio::test]
async fn a_group_wants_to_be_addressed_and_its_other_lines_are_context() {
    let chat = Chat::new().await;
    let worker = chat.world.worker("w").await;
    let name = &chat.ann.bot.username;
    let says = async |update, from: Value, text: &str| {
        let fields = json!({"text": text, "chat": group(-5), "from": from});
        chat.ann.sends(update, "message", fields).await
    };
    let (ann, bob) = (of(1, "Ann"), json!({"id": 2, "first_name": "Bob", "username": "bob"}));
    let ignored = json!({"ok": true, "ignored": "not_addressed"});
    assert_eq!(says(1, ann.clone(), "lunch at noon").await, ignored);
    assert_eq!(says(2, bob.clone(), "no, at one").await, ignored);
    assert_eq!(says(3, ann.clone(), &format!("@{name} when is lunch?")).await["duplicate"], false);
    let job = run(&worker).await;
    assert_eq!(text(&job), format!("Ann (id 1): @{name} when is lunch?"));
    assert_eq!(job["conversationId"], format!("telegram:{}:-5", chat.ann.bot.id));
    let context = &job["payload"]["metadata"]["telegramGroupContext"];
    assert_eq!(context, "Ann (id 1): lunch at noon\nBob (@bob): no, at one");
    assert_eq!(says(4, bob.clone(), "/time").await["duplicate"], false);
    assert!(run(&worker).await["payload"]["metadata"]["telegramGroupContext"].is_null(), "it was delivered");
    let reply = json!({"message_id": 9, "from": {"id": chat.ann.bot.id}, "text": "at one"});
    let fields = json!({"text": "thanks", "chat": group(-5), "from": bob, "reply_to_message": reply});
    chat.ann.says(5, fields).await;
    assert_eq!(text(&run(&worker).await), "Bob (@bob): thanks");
    for update in 10..60 {
        says(update, ann.clone(), &format!("line {update}")).await;
    }
    says(60, ann.clone(), "/go").await;
    let context = run(&worker).await["payload"]["metadata"]["telegramGroupContext"].clone();
    let lines: Vec<&str> = context.as_str().unwrap().lines().collect();
    assert!((10..=20).contains(&lines.len()) && lines.last() == Some(&"Ann (id 1): line 59"), "{lines:?}");

    chat.configure(json!({"groupTrigger": "all"})).await;
    assert_eq!(says(70, ann, "lunch?").await["duplicate"], false);
}

#[tokio::test]
async fn each_topic_of_a_forum_is_a_conversation() {
    let chat = Chat::new().await;
    let forum = json!({"id": -1_001, "type": "supergroup", "is_forum": true});
    let says = async |update, topic: Value| {
        let mut fields = json!({"text": "/hi", "chat": forum});
        if !topic.is_null() {
            (fields["message_thread_id"], fields["is_topic_message"]) = (topic, json!(true));
        }
        let id = chat.ann.says(update, fields).await;
        chat.world.message(&json!(id)).await["conversationId"].as_str().unwrap().to_owned()
    };
    let base = format!("telegram:{}:-1001", chat.ann.bot.id);
    assert_eq!(says(1, Value::Null).await, base);
    assert_eq!(says(2, json!(4)).await, format!("{base}:4"));
    assert_eq!(says(3, json!(5)).await, format!("{base}:5"));
    let chain = json!({"text": "/hi", "chat": forum, "message_thread_id": 6});
    let id = chat.ann.says(4, chain).await;
    assert_eq!(
        chat.world.message(&json!(id)).await["conversationId"],
        base,
        "a chain of replies is no topic"
    );
    chat.configure(json!({"agents": {"demo": {"conversationPer": "chat"}}})).await;
    assert_eq!(says(5, json!(4)).await, base);
}

#[tokio::test]
async fn an_album_in_a_group_is_addressed_by_one_caption() {
    let chat = Chat::new().await;
    let picture = |caption: &str| json!({"media_group_id": "8", "photo": [{"file_id": "p", "file_size": 30_000_000}], "caption": caption, "chat": group(-5)});
    let first = chat.ann.sends(1, "message", picture("/look")).await;
    let second = chat.ann.sends(2, "message", picture("")).await;
    assert_eq!((&second["changed"], &second["messageId"]), (&json!("album"), &first["messageId"]));
}

#[tokio::test]
async fn an_answer_in_a_group_refers_to_the_message_of_its_author() {
    let chat = Chat::new().await;
    let (of_group, of_person) = (chat.world.worker("w").await, chat.world.worker("x").await);
    let answers = async |worker: &TestWorker<'_>, update, fields: Value, text: &str| {
        chat.ann.says(update, fields).await;
        let job = worker.poll(json!({})).await["job"].clone();
        worker.complete(&job, json!({"reply": {"text": text}})).await.body_of(200);
    };
    let asks = |id: u64| json!({"text": "/ask", "chat": group(-5), "message_id": id});
    // Telegram knows no message of the group before the first answer, which therefore refers to none.
    answers(&of_group, 7, asks(900), "first").await;
    let long = format!("{}\n\n{}", "a".repeat(4_000), "b".repeat(4_000));
    answers(&of_group, 8, asks(1), &long).await;
    answers(&of_person, 9, json!({"text": "hello"}), "hi").await;
    let sent = chat.ann.telegram.outbox(Some(chat.ann.bot.id), None, 10);
    let replies: Vec<_> = sent.iter().map(|sent| (sent.chat_id < 0, sent.reply_to_message_id)).collect();
    assert_eq!(replies, [(true, None), (true, Some(1)), (true, None), (false, None)]);
}
