//! What an image says twice counts once.

use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::{TALK, World};

fn said(texts: &[(&str, &str)]) -> Value {
    texts.iter().map(|(role, content)| json!({"role": role, "content": content})).collect()
}

fn owned(texts: &[(&str, &str)]) -> Vec<(String, String)> {
    texts.iter().map(|(role, content)| ((*role).to_owned(), (*content).to_owned())).collect()
}

const FIRST: [(&str, &str); 2] = [("user", "hello"), ("assistant", "good day")];
const OTHER: [(&str, &str); 2] = [("user", "hello"), ("assistant", "good morning")];

#[tokio::test]
async fn a_claim_that_is_sent_again_returns_the_lease_held_three_times_and_then_nothing() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    for _ in 0..3 {
        assert_eq!(image.claim().await, job);
    }
    let args = json!({"conversationId": TALK});
    assert_eq!(image.mine("workerClaim", args).await, Value::Null);
    assert_eq!(world.message(&job["messageId"]).await["attempts"], 1);
}

#[tokio::test]
async fn an_append_that_is_sent_again_does_not_double() {
    let world = World::new().await;
    let (image, _) = world.image_at_work("w").await;
    for _ in 0..3 {
        assert_eq!(image.append(said(&FIRST)).await, json!({"updated": true, "messageCount": 2}));
        world.advance(Millis::from_secs(1));
    }
    assert_eq!(world.history().await, owned(&FIRST));
}

#[tokio::test]
async fn an_image_that_appends_one_by_one_is_understood_too() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    assert_eq!(image.append(said(&FIRST[..1])).await, json!({"updated": true, "messageCount": 1}));
    for _ in 0..2 {
        assert_eq!(image.append(said(&FIRST[1..])).await, json!({"updated": true, "messageCount": 2}));
    }
    image.of(&job, "workerComplete", json!({})).await;
    assert_eq!(world.history().await, owned(&FIRST));
    assert_eq!(world.message(&job["messageId"]).await["reply"], "good day");
}

#[tokio::test]
async fn a_message_that_is_handed_out_again_under_its_lease_replaces_what_it_wrote() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    image.append(said(&[FIRST[0], ("tool", "looked it up"), FIRST[1]])).await;
    assert_eq!(image.claim().await, job);
    assert_eq!(image.append(said(&OTHER)).await, json!({"updated": true, "messageCount": 2}));
    assert_eq!(world.history().await, owned(&OTHER));
}

#[tokio::test]
async fn a_retry_replaces_what_its_failed_attempt_wrote() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    image.append(said(&FIRST)).await;
    let failed = image.of(&job, "workerFail", json!({"errorMessage": "Telegram is down"})).await;
    world.advance(Millis::new(failed["nextScheduledFor"].as_u64().unwrap() - world.now()));
    let again = image.claim().await;
    assert_ne!(again["leaseId"], job["leaseId"]);
    assert_eq!(image.append(said(&OTHER)).await, json!({"updated": true, "messageCount": 2}));
    assert_eq!(world.history().await, owned(&OTHER));
}

#[tokio::test]
async fn a_later_message_with_the_same_words_is_another_one() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    image.append(said(&FIRST)).await;
    image.of(&job, "workerComplete", json!({})).await;
    world.enqueue(TALK, "telegram", "hello").await;
    image.claim().await;
    assert_eq!(image.append(said(&FIRST)).await, json!({"updated": true, "messageCount": 4}));
    assert_eq!(world.history().await, [owned(&FIRST), owned(&FIRST)].concat());
}

#[tokio::test]
async fn the_system_prompt_is_handed_out_and_taken_off_again() {
    let world = World::new().await;
    let prompt = json!({"systemPrompt": "Answer in rhymes."});
    world.api.put("/v1/config/message", prompt).send().await.body_of(200);
    world.advance(Millis::from_secs(60));
    let (image, job) = world.image_at_work("w").await;
    let handed = job["payload"]["messageText"].as_str().unwrap();
    assert_eq!(handed, "hello\n\nAnswer in rhymes.");
    let args = json!({"messageId": job["messageId"], "workspaceId": "default"});
    assert_eq!(image.value("workerHydrationBundle", args).await["payload"], job["payload"]);
    for _ in 0..2 {
        let appended = image.append(said(&[("user", handed), FIRST[1]])).await;
        assert_eq!(appended, json!({"updated": true, "messageCount": 2}));
    }
    assert_eq!(world.history().await, owned(&FIRST));
}

#[tokio::test]
async fn nothing_is_appended_without_a_message() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    assert_eq!(image.append(json!([])).await, json!({"updated": false, "messageCount": 0}));
    image.of(&job, "workerComplete", json!({})).await;
    assert_eq!(image.append(said(&FIRST)).await, json!({"updated": false, "messageCount": 0}));
    assert_eq!(world.history().await, []);
}

#[tokio::test]
async fn an_end_that_is_sent_again_is_answered_the_same() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    for _ in 0..2 {
        assert_eq!(image.of(&job, "workerComplete", json!({})).await, true);
    }
    world.enqueue(TALK, "telegram", "again").await;
    let job = image.claim().await;
    let fail = || image.of(&job, "workerFail", json!({"errorMessage": "no"}));
    assert_eq!(fail().await, fail().await);
    assert_eq!(image.of(&job, "workerComplete", json!({})).await, false, "it has failed");
}

#[tokio::test]
async fn metadata_is_merged() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    for metadata in [json!({"a": "1", "b": "1"}), json!({"b": "2"}), json!({"b": "2"})] {
        let args = json!({"messageId": job["messageId"], "metadata": metadata});
        assert_eq!(image.value("workerAttachMessageMetadata", args).await, true);
    }
    image.of(&job, "workerComplete", json!({})).await;
    let args = json!({"messageId": job["messageId"], "metadata": {"c": "3"}});
    assert_eq!(image.value("workerAttachMessageMetadata", args).await, false);
    let id = job["messageId"].as_str().unwrap();
    let row = world.items().await.into_iter().find(|item| item["pk"]["S"] == format!("M#{id}")).unwrap();
    assert_eq!(row["wm"]["M"], json!({"a": {"S": "1"}, "b": {"S": "2"}}));
}
