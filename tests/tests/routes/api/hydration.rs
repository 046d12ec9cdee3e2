//! The history in a bundle: as much as the policies allow, or only the entries after a cursor.

use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::api::World;

const KB: usize = 1024;
/// The size limit of a function's response.
const MAX_ANSWER_BYTES: usize = 6 * 1024 * KB;
/// Longer than every backoff.
const LONGER_THAN_EVERY_BACKOFF: Millis = Millis::from_secs(661);

/// A worker that polls one conversation and writes its history.
struct Worker<'a> {
    world: &'a World,
    token: String,
    conversation: &'a str,
}

impl<'a> Worker<'a> {
    /// The owner of the conversation, whose history is empty.
    async fn of(world: &'a World, conversation: &'a str) -> Self {
        world.enqueue(conversation, "hello").await;
        let token = world.worker(&format!("w-{}", conversation.replace(':', "-"))).await;
        let worker = Self { world, token, conversation };
        let first = worker.poll(None).await;
        worker.complete(&first, json!([])).await;
        worker
    }

    async fn poll(&self, since: Option<&Value>) -> Value {
        let mut body = json!({"conversationId": self.conversation});
        if let Some(since) = since {
            body["since"] = since.clone();
        }
        let polled = self.world.poll(&self.token, body).await;
        assert!(polled["job"].is_object(), "no job: {polled}");
        polled
    }

    /// Enqueues a message and claims it.
    async fn next(&self, since: Option<&Value>) -> Value {
        self.world.enqueue(self.conversation, "hello").await;
        self.poll(since).await
    }

    async fn call(&self, polled: &Value, what: &str, mut body: Value) -> af_tests::calls::Answer {
        let job = &polled["job"];
        body["leaseId"] = job["leaseId"].clone();
        body["fence"] = job["fence"].clone();
        let path = match what {
            "history" => format!("/v1/worker/conversations/{}/history", self.conversation),
            _ => format!("/v1/worker/messages/{}/{what}", job["messageId"].as_str().unwrap()),
        };
        self.world.api.post(&path, body).key(&self.token).send().await
    }

    async fn complete(&self, polled: &Value, history: Value) {
        self.call(polled, "complete", json!({"history": history})).await.body_of(200);
    }

    async fn append(&self, polled: &Value, ordinal: usize, messages: Value) {
        self.call(polled, "history", json!({"ordinal": ordinal, "messages": messages})).await.body_of(200);
    }

    async fn fail(&self, polled: &Value) {
        self.call(polled, "fail", json!({"errorMessage": "no"})).await.body_of(200);
    }
}

fn entry(content: &str) -> Value {
    json!([{"role": "assistant", "content": content}])
}

/// The history of a bundle, and whether it has only the entries after the cursor.
fn history_of(polled: &Value) -> (Vec<&str>, bool) {
    let history = polled["bundle"]["conversationState"]["contextHistory"].as_array().unwrap();
    let contents = history.iter().map(|e| e["content"].as_str().unwrap()).collect();
    (contents, polled["bundle"]["delta"].as_bool().unwrap())
}

#[tokio::test]
async fn a_bundle_with_a_cursor_has_the_entries_after_it() {
    let world = World::new().await;
    let worker = Worker::of(&world, "c").await;
    let first = worker.next(None).await;
    assert!(first["bundle"]["cursor"].is_null(), "the history is empty");
    worker.append(&first, 0, entry("one")).await;
    worker.complete(&first, entry("two")).await;
    let second = worker.next(None).await;
    assert_eq!(history_of(&second), (vec!["one", "two"], false));
    let cursor = &second["bundle"]["cursor"];
    worker.complete(&second, entry("three")).await;
    let third = worker.next(Some(cursor)).await;
    assert_eq!(history_of(&third), (vec!["three"], true));
    worker.complete(&third, json!([])).await;
    let nothing = worker.next(Some(&third["bundle"]["cursor"])).await;
    assert_eq!(history_of(&nothing), (vec![], true));
    assert_eq!(nothing["bundle"]["cursor"], third["bundle"]["cursor"]);
}

/// The entries of the retry come after those of the message that overtook it, and so after the cursor of its bundle.
#[tokio::test]
async fn a_delta_has_all_entries_of_a_retry_that_was_overtaken() {
    let world = World::new().await;
    world.api.put("/v1/config/policies", json!({"queue": {"onRetry": "overtake"}})).send().await.body_of(200);
    world.expire_caches();
    let worker = Worker::of(&world, "c").await;
    let failing = worker.next(None).await;
    worker.append(&failing, 0, entry("first try")).await;
    worker.fail(&failing).await;
    let overtaking = worker.next(None).await;
    assert_eq!(history_of(&overtaking), (vec!["first try"], false));
    worker.complete(&overtaking, entry("overtook")).await;
    let another = worker.next(None).await;
    let cursor = another["bundle"]["cursor"].clone();
    worker.complete(&another, json!([])).await;
    world.bundle.clock.advance(LONGER_THAN_EVERY_BACKOFF);
    let retry = worker.poll(Some(&cursor)).await;
    assert_eq!((retry["job"]["attempt"].as_u64(), history_of(&retry)), (Some(2), (vec![], true)));
    worker.complete(&retry, entry("second try")).await;
    // The retry has replaced entries of the cursor's bundle, so the next bundle has the whole context.
    let next = worker.next(Some(&cursor)).await;
    assert_eq!(history_of(&next), (vec!["overtook", "second try"], false));
    let cursor = next["bundle"]["cursor"].clone();
    worker.complete(&next, entry("later")).await;
    assert_eq!(history_of(&worker.next(Some(&cursor)).await), (vec!["later"], true));
}

#[tokio::test]
async fn a_retry_replaces_the_entries_of_its_failed_attempt_on_every_page() {
    let world = World::new().await;
    world.api.put("/v1/config/policies", json!({"queue": {"onRetry": "overtake"}})).send().await.body_of(200);
    world.expire_caches();
    let conversation = "user-agent:support:ann";
    world.bind("ann", "support").await;
    let worker = Worker::of(&world, conversation).await;
    let failing = worker.next(None).await;
    let written = json!([{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]);
    worker.append(&failing, 0, written).await;
    worker.fail(&failing).await;
    for overtaking in ["x", "y"] {
        let polled = worker.next(None).await;
        worker.complete(&polled, entry(overtaking)).await;
    }
    world.bundle.clock.advance(LONGER_THAN_EVERY_BACKOFF);
    let retry = worker.poll(None).await;
    worker.complete(&retry, entry("z")).await;
    for limit in 1..=5 {
        let (mut seen, mut query) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/users/ann/agents/support/conversation?limit={limit}{query}");
            let page = world.api.get(&path).send().await.body_of(200);
            let entries = page["contextHistory"].as_array().unwrap();
            assert!(entries.len() <= limit);
            seen.splice(0..0, entries.iter().map(|e| e["content"].as_str().unwrap().to_owned()));
            match page["nextHistoryCursor"].as_str() {
                Some(cursor) => query = format!("&historyCursor={cursor}"),
                None => break,
            }
        }
        assert_eq!(seen, ["x", "y", "z"], "{limit} a page");
    }
}

#[tokio::test]
async fn a_foreign_cursor_gets_the_whole_context_and_an_invalid_one_is_refused() {
    let world = World::new().await;
    let (one, other) = (Worker::of(&world, "one").await, Worker::of(&world, "other").await);
    for worker in [&one, &other] {
        let polled = worker.next(None).await;
        worker.complete(&polled, entry(worker.conversation)).await;
    }
    let cursor = one.next(None).await["bundle"]["cursor"].clone();
    assert_eq!(history_of(&other.next(Some(&cursor)).await), (vec!["other"], false));
    for nonsense in ["", "H~~", "zzz", "H#0000000001#000000"] {
        let call = world.api.post("/v1/worker/poll", json!({"conversationId": "one", "since": nonsense}));
        let answer = world.refused(call.key(&one.token)).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/since"), "{nonsense}");
    }
}

#[tokio::test]
async fn a_delta_that_exceeds_the_budget_becomes_the_whole_context() {
    let world = World::new().await;
    world
        .api
        .put("/v1/config/policies", json!({"hydration": {"maxContextMessages": 2}}))
        .send()
        .await
        .body_of(200);
    world.expire_caches();
    let worker = Worker::of(&world, "c").await;
    let first = worker.next(None).await;
    worker.complete(&first, entry("0")).await;
    let second = worker.next(None).await;
    let entry = |n: usize| json!({"role": "user", "content": n.to_string()});
    worker.complete(&second, json!([entry(1), entry(2), entry(3)])).await;
    let cut = worker.next(Some(&second["bundle"]["cursor"])).await;
    assert_eq!(history_of(&cut), (vec!["2", "3"], false));
}

#[tokio::test]
async fn entries_of_256_kb_are_accepted_larger_ones_are_refused_and_the_newest_is_always_sent() {
    let world = World::new().await;
    let worker = Worker::of(&world, "c").await;
    let polled = worker.next(None).await;
    let largest = "x".repeat(256 * KB);
    let tool_entry = |content: &str| json!({"role": "tool", "content": content});
    let too_large = json!([tool_entry("fits"), tool_entry(&format!("{largest}x"))]);
    for (what, body, pointer) in [
        ("history", json!({"ordinal": 0, "messages": too_large}), "/messages/1/content"),
        ("complete", json!({"history": too_large}), "/history/1/content"),
        ("history", json!({"ordinal": 0, "messages": vec![tool_entry(&largest); 9]}), "/messages"),
        ("history", json!({"ordinal": 0, "messages": vec![tool_entry("x"); 51]}), "/messages"),
        ("history", json!({"ordinal": u64::MAX, "messages": [tool_entry("x")]}), "/ordinal"),
        ("history", json!({"ordinal": 999_951, "messages": [tool_entry("x")]}), "/ordinal"),
    ] {
        let before = world.items().await;
        let answer = worker.call(&polled, what, body).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer));
        assert_eq!(world.items().await, before);
    }
    worker.append(&polled, 0, json!(vec![tool_entry(&largest); 8])).await;
    worker.complete(&polled, entry(&largest)).await;
    let next = worker.next(None).await;
    assert_eq!(history_of(&next), (vec![largest.as_str()], false), "16 000 tokens are a quarter of it");
}

/// The response leaves Lambda as JSON in JSON, where a control character takes seven bytes.
#[tokio::test]
async fn no_policy_and_no_content_makes_a_response_above_the_limit_of_lambda() {
    let world = World::new().await;
    let most = json!({"maxContextMessages": 500, "maxContextTokens": 2_000_000});
    world.api.put("/v1/config/policies", json!({"hydration": most})).send().await.body_of(200);
    world.expire_caches();
    world.bind("ann", "support").await;
    let conversation = "user-agent:support:ann";
    let worker = Worker::of(&world, conversation).await;
    for content in ["\u{1}".repeat(40 * KB), "\"".repeat(128 * KB), "x".repeat(256 * KB)] {
        let polled = worker.next(None).await;
        let entries = vec![json!({"role": "tool", "content": content}); 7];
        let calls: Vec<_> = (0..100)
            .map(|n| json!({"toolName": "\u{1}".repeat(900), "callId": n.to_string(), "status": "open"}))
            .collect();
        let body = json!({"history": entries, "pendingToolCalls": calls, "reply": {"text": "\u{1}".repeat(64 * KB)}});
        worker.call(&polled, "complete", body).await.body_of(200);
        let long = "\\".repeat(120 * KB);
        world.say("ann", &long).await;
        let next = worker.poll(None).await;
        assert!(history_of(&next).0.len() >= 2, "more than the newest entry fits");
        let bytes = next.to_string();
        let wrapped = Value::from(bytes).to_string().len();
        assert!(wrapped < MAX_ANSWER_BYTES, "{wrapped} bytes");
        worker.complete(&next, json!([])).await;
        let view = world.api.get("/v1/users/ann/agents/support/conversation?limit=200").send().await;
        let wrapped = Value::from(view.body_of(200).to_string()).to_string().len();
        assert!(wrapped < MAX_ANSWER_BYTES, "{wrapped} bytes");
    }
}

#[tokio::test]
async fn a_list_of_large_messages_has_shorter_pages_and_leaves_no_message_out() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let worker = Worker::of(&world, "user-agent:support:ann").await;
    let mut sent = Vec::new();
    for _ in 0..9 {
        world.bundle.clock.advance(Millis::new(1));
        sent.push(world.say("ann", "hello").await);
        let polled = worker.poll(None).await;
        worker
            .call(&polled, "complete", json!({"reply": {"text": "\u{1}".repeat(64 * KB)}}))
            .await
            .body_of(200);
    }
    let (mut listed, mut query, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("/v1/users/ann/agents/support/conversation?limit=200{query}");
        let page = world.api.get(&path).send().await.body_of(200);
        assert_eq!(page["latestMessageId"], *sent.last().unwrap());
        let items = page["queueItems"].as_array().unwrap();
        listed.extend(items.iter().map(|i| i["messageId"].as_str().unwrap().to_owned()));
        pages += 1;
        match page["nextQueueCursor"].as_str() {
            Some(cursor) => query = format!("&queueCursor={cursor}"),
            None => break,
        }
    }
    sent.reverse();
    assert_eq!(listed[..9], sent);
    assert!(
        pages > 1 && listed.len() == 10,
        "{pages} pages, and the first message of the conversation at the end"
    );
}
