//! What a bundle holds of a conversation: as much as the policy lets through, or what has come since.

use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::api::World;

const KB: usize = 1024;
/// The largest answer of a function.
const MAX_ANSWER_BYTES: usize = 6 * 1024 * KB;
/// Past every backoff.
const PAST_THE_BACKOFF: Millis = Millis::from_secs(150);

/// A worker's polls of one conversation, and what it writes.
struct Worker<'a> {
    world: &'a World,
    token: String,
    conversation: &'a str,
}

impl<'a> Worker<'a> {
    /// Who owns the conversation, in which nothing was said yet.
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
        assert!(polled["job"].is_object(), "nothing to do: {polled}");
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

fn said(content: &str) -> Value {
    json!([{"role": "assistant", "content": content}])
}

/// What stands in a bundle's history, and whether that is only what came since.
fn told(polled: &Value) -> (Vec<&str>, bool) {
    let history = polled["bundle"]["conversationState"]["contextHistory"].as_array().unwrap();
    let contents = history.iter().map(|e| e["content"].as_str().unwrap()).collect();
    (contents, polled["bundle"]["delta"].as_bool().unwrap())
}

#[tokio::test]
async fn a_cursor_brings_what_has_come_since() {
    let world = World::new().await;
    let worker = Worker::of(&world, "c").await;
    let first = worker.next(None).await;
    assert!(first["bundle"]["cursor"].is_null(), "nothing was said yet");
    worker.append(&first, 0, said("one")).await;
    worker.complete(&first, said("two")).await;
    let second = worker.next(None).await;
    assert_eq!(told(&second), (vec!["one", "two"], false));
    let cursor = &second["bundle"]["cursor"];
    worker.complete(&second, said("three")).await;
    let third = worker.next(Some(cursor)).await;
    assert_eq!(told(&third), (vec!["three"], true));
    worker.complete(&third, json!([])).await;
    let nothing = worker.next(Some(&third["bundle"]["cursor"])).await;
    assert_eq!(told(&nothing), (vec![], true));
    assert_eq!(nothing["bundle"]["cursor"], third["bundle"]["cursor"]);
}

/// The retry's entries come after those of the message that overtook it, and so behind the cursor of its bundle.
#[tokio::test]
async fn a_delta_misses_nothing_of_a_retry_that_was_overtaken() {
    let world = World::new().await;
    world.api.put("/v1/config/policies", json!({"queue": {"onRetry": "overtake"}})).send().await.body_of(200);
    world.forget();
    let worker = Worker::of(&world, "c").await;
    let failing = worker.next(None).await;
    worker.append(&failing, 0, said("first try")).await;
    worker.fail(&failing).await;
    let overtaking = worker.next(None).await;
    assert_eq!(told(&overtaking), (vec!["first try"], false));
    worker.complete(&overtaking, said("overtook")).await;
    let another = worker.next(None).await;
    let cursor = another["bundle"]["cursor"].clone();
    worker.complete(&another, json!([])).await;
    world.bundle.clock.advance(PAST_THE_BACKOFF);
    let retry = worker.poll(Some(&cursor)).await;
    assert_eq!((retry["job"]["attempt"].as_u64(), told(&retry)), (Some(2), (vec![], true)));
    worker.complete(&retry, said("second try")).await;
    // What the cursor's bundle held is replaced: the whole context comes, and says so.
    let next = worker.next(Some(&cursor)).await;
    assert_eq!(told(&next), (vec!["overtook", "second try"], false));
    let cursor = next["bundle"]["cursor"].clone();
    worker.complete(&next, said("later")).await;
    assert_eq!(told(&worker.next(Some(&cursor)).await), (vec!["later"], true));
}

#[tokio::test]
async fn a_retry_replaces_on_every_page_of_the_view_what_its_failed_attempt_wrote() {
    let world = World::new().await;
    world.api.put("/v1/config/policies", json!({"queue": {"onRetry": "overtake"}})).send().await.body_of(200);
    world.forget();
    let conversation = "user-agent:support:ann";
    world.bind("ann", "support").await;
    let worker = Worker::of(&world, conversation).await;
    let failing = worker.next(None).await;
    let written = json!([{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]);
    worker.append(&failing, 0, written).await;
    worker.fail(&failing).await;
    for overtaking in ["x", "y"] {
        let polled = worker.next(None).await;
        worker.complete(&polled, said(overtaking)).await;
    }
    world.bundle.clock.advance(PAST_THE_BACKOFF);
    let retry = worker.poll(None).await;
    worker.complete(&retry, said("z")).await;
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
async fn a_cursor_of_another_conversation_brings_the_whole_context_and_nonsense_is_refused() {
    let world = World::new().await;
    let (one, other) = (Worker::of(&world, "one").await, Worker::of(&world, "other").await);
    for worker in [&one, &other] {
        let polled = worker.next(None).await;
        worker.complete(&polled, said(worker.conversation)).await;
    }
    let cursor = one.next(None).await["bundle"]["cursor"].clone();
    assert_eq!(told(&other.next(Some(&cursor)).await), (vec!["other"], false));
    for nonsense in ["", "H~~", "zzz", "H#0000000001#000000"] {
        let call = world.api.post("/v1/worker/poll", json!({"conversationId": "one", "since": nonsense}));
        let answer = world.refused(call.key(&one.token)).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/since"), "{nonsense}");
    }
}

#[tokio::test]
async fn a_delta_that_is_cut_says_that_it_is_the_whole_context() {
    let world = World::new().await;
    world
        .api
        .put("/v1/config/policies", json!({"hydration": {"maxContextMessages": 2}}))
        .send()
        .await
        .body_of(200);
    world.forget();
    let worker = Worker::of(&world, "c").await;
    let first = worker.next(None).await;
    worker.complete(&first, said("0")).await;
    let second = worker.next(None).await;
    let entry = |n: usize| json!({"role": "user", "content": n.to_string()});
    worker.complete(&second, json!([entry(1), entry(2), entry(3)])).await;
    let cut = worker.next(Some(&second["bundle"]["cursor"])).await;
    assert_eq!(told(&cut), (vec!["2", "3"], false));
}

#[tokio::test]
async fn entries_of_256_kb_are_taken_larger_ones_are_refused_and_the_newest_always_comes() {
    let world = World::new().await;
    let worker = Worker::of(&world, "c").await;
    let polled = worker.next(None).await;
    let largest = "x".repeat(256 * KB);
    let entry = |content: &str| json!({"role": "tool", "content": content});
    let too_large = json!([entry("fits"), entry(&format!("{largest}x"))]);
    for (what, body, pointer) in [
        ("history", json!({"ordinal": 0, "messages": too_large}), "/messages/1/content"),
        ("complete", json!({"history": too_large}), "/history/1/content"),
        ("history", json!({"ordinal": 0, "messages": vec![entry(&largest); 9]}), "/messages"),
        ("history", json!({"ordinal": 0, "messages": vec![entry("x"); 51]}), "/messages"),
        ("history", json!({"ordinal": u64::MAX, "messages": [entry("x")]}), "/ordinal"),
        ("history", json!({"ordinal": 999_951, "messages": [entry("x")]}), "/ordinal"),
    ] {
        let before = world.items().await;
        let answer = worker.call(&polled, what, body).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer));
        assert_eq!(world.items().await, before);
    }
    worker.append(&polled, 0, json!(vec![entry(&largest); 8])).await;
    worker.complete(&polled, said(&largest)).await;
    let next = worker.next(None).await;
    assert_eq!(told(&next), (vec![largest.as_str()], false), "16 000 tokens are a quarter of it");
}

/// The answer leaves Lambda as JSON in JSON, which makes seven bytes of a control character.
#[tokio::test]
async fn no_policy_and_no_content_makes_an_answer_that_lambda_does_not_let_through() {
    let world = World::new().await;
    let most = json!({"maxContextMessages": 500, "maxContextTokens": 2_000_000});
    world.api.put("/v1/config/policies", json!({"hydration": most})).send().await.body_of(200);
    world.forget();
    world.bind("ann", "support").await;
    let conversation = "user-agent:support:ann";
    let worker = Worker::of(&world, conversation).await;
    for content in ["\u{1}".repeat(40 * KB), "\"".repeat(128 * KB), "x".repeat(256 * KB)] {
        let polled = worker.next(None).await;
        let entries = vec![json!({"role": "tool", "content": content}); 7];
        let calls: Vec<_> = (0..100)
            .map(|n| json!({"toolName": "\u{1}".repeat(900), "callId": n.to_string(), "status": "open"}))
            .collect();
        let body = json!({"history": entries, "pendingToolCalls": calls, "reply": "\u{1}".repeat(64 * KB)});
        worker.call(&polled, "complete", body).await.body_of(200);
        let long = "\\".repeat(120 * KB);
        world.say("ann", &long).await;
        let next = worker.poll(None).await;
        assert!(told(&next).0.len() >= 2, "more than the newest fits");
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
async fn a_list_of_large_messages_ends_its_pages_early_and_leaves_none_out() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let worker = Worker::of(&world, "user-agent:support:ann").await;
    let mut sent = Vec::new();
    for _ in 0..9 {
        world.bundle.clock.advance(Millis::new(1));
        sent.push(world.say("ann", "hello").await);
        let polled = worker.poll(None).await;
        worker.call(&polled, "complete", json!({"reply": "\u{1}".repeat(64 * KB)})).await.body_of(200);
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
