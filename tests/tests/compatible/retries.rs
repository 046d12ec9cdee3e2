//! A repeated call of an image takes effect once.

use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::{CONVERSATION, World};

fn entries(texts: &[(&str, &str)]) -> Value {
    texts.iter().map(|(role, content)| json!({"role": role, "content": content})).collect()
}

fn expected_history(texts: &[(&str, &str)]) -> Vec<(String, String)> {
    texts.iter().map(|(role, content)| ((*role).to_owned(), (*content).to_owned())).collect()
}

const FIRST: [(&str, &str); 2] = [("user", "hello"), ("assistant", "good day")];
const OTHER: [(&str, &str); 2] = [("user", "hello"), ("assistant", "good morning")];

#[tokio::test]
async fn a_repeated_claim_returns_the_live_lease_three_times_and_then_nothing() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    for _ in 0..3 {
        assert_eq!(image.claim().await, job);
    }
    let args = json!({"conversationId": CONVERSATION});
    assert_eq!(image.own("workerClaim", args).await, Value::Null);
    assert_eq!(world.message(&job["messageId"]).await["attempts"], 1);
}

#[tokio::test]
async fn a_repeated_append_adds_no_second_entry() {
    let world = World::new().await;
    let (image, _) = world.image_at_work("w").await;
    for _ in 0..3 {
        assert_eq!(image.append(entries(&FIRST)).await, json!({"updated": true, "messageCount": 2}));
        world.advance(Millis::from_secs(1));
    }
    assert_eq!(world.history().await, expected_history(&FIRST));
}

#[tokio::test]
async fn appends_of_single_entries_are_not_taken_for_repetitions() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    assert_eq!(image.append(entries(&FIRST[..1])).await, json!({"updated": true, "messageCount": 1}));
    for _ in 0..2 {
        assert_eq!(image.append(entries(&FIRST[1..])).await, json!({"updated": true, "messageCount": 2}));
    }
    image.of(&job, "workerComplete", json!({})).await;
    assert_eq!(world.history().await, expected_history(&FIRST));
    assert_eq!(world.message(&job["messageId"]).await["reply"], "good day");
}

#[tokio::test]
async fn an_append_after_a_repeated_claim_replaces_the_entries_of_the_same_lease() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    image.append(entries(&[FIRST[0], ("tool", "looked it up"), FIRST[1]])).await;
    assert_eq!(image.claim().await, job);
    assert_eq!(image.append(entries(&OTHER)).await, json!({"updated": true, "messageCount": 2}));
    assert_eq!(world.history().await, expected_history(&OTHER));
}

#[tokio::test]
async fn an_append_of_a_retry_replaces_the_entries_of_the_failed_attempt() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    image.append(entries(&FIRST)).await;
    let failed = image.of(&job, "workerFail", json!({"errorMessage": "Telegram is down"})).await;
    world.advance(Millis::new(failed["nextScheduledFor"].as_u64().unwrap() - world.now()));
    let again = image.claim().await;
    assert_ne!(again["leaseId"], job["leaseId"]);
    assert_eq!(image.append(entries(&OTHER)).await, json!({"updated": true, "messageCount": 2}));
    assert_eq!(world.history().await, expected_history(&OTHER));
}

#[tokio::test]
async fn a_later_message_with_the_same_text_is_appended_again() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    image.append(entries(&FIRST)).await;
    image.of(&job, "workerComplete", json!({})).await;
    world.enqueue(CONVERSATION, "telegram", "hello").await;
    image.claim().await;
    assert_eq!(image.append(entries(&FIRST)).await, json!({"updated": true, "messageCount": 4}));
    assert_eq!(world.history().await, [expected_history(&FIRST), expected_history(&FIRST)].concat());
}

#[tokio::test]
async fn the_system_prompt_is_added_to_the_text_and_removed_from_the_history() {
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
        let appended = image.append(entries(&[("user", handed), FIRST[1]])).await;
        assert_eq!(appended, json!({"updated": true, "messageCount": 2}));
    }
    assert_eq!(world.history().await, expected_history(&FIRST));
}

#[tokio::test]
async fn nothing_is_appended_without_a_lease() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    assert_eq!(image.append(json!([])).await, json!({"updated": false, "messageCount": 0}));
    image.of(&job, "workerComplete", json!({})).await;
    assert_eq!(image.append(entries(&FIRST)).await, json!({"updated": false, "messageCount": 0}));
    assert_eq!(world.history().await, []);
}

#[tokio::test]
async fn a_repeated_completion_or_failure_gets_the_same_response() {
    let world = World::new().await;
    let (image, job) = world.image_at_work("w").await;
    for _ in 0..2 {
        assert_eq!(image.of(&job, "workerComplete", json!({})).await, true);
    }
    world.enqueue(CONVERSATION, "telegram", "again").await;
    let job = image.claim().await;
    let fail = || image.of(&job, "workerFail", json!({"errorMessage": "no"}));
    assert_eq!(fail().await, fail().await);
    assert_eq!(image.of(&job, "workerComplete", json!({})).await, false, "the message has failed");
}

#[tokio::test]
async fn metadata_is_merged_until_the_message_ends() {
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
