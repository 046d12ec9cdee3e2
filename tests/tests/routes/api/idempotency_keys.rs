//! The idempotency key of every operation that has one in the OpenAPI document: 50 parallel calls have one effect and one
//! answer, another request with the key is refused, and the key is free after a day.

use af_app::access::auth::BOOTSTRAP_KEY_ID;
use af_app::intake::idempotency;
use af_domain::time::Millis;
use af_tests::calls::{Answer, Call};
use futures::future::join_all;
use serde_json::{Value, json};

use super::managed_bots::Managed;
use super::message;

const DAY: Millis = Millis::from_days(1);
const PARALLEL_CALLS: usize = 50;
/// Operations that answer 409 while the first call is carried out, because their effect is not one transaction.
const REFUSED_IN_FLIGHT: [&str; 6] = [
    "deploySkill",
    "freeConversation",
    "retryDeadLetters",
    "retryMessage",
    "rotateManagedBotToken",
    "rotateManagedBotTokenForUser",
];
/// Operations whose key is the id of a message and is kept as long as the message.
const KEPT_WITH_THE_MESSAGE: [&str; 2] = ["enqueueMessage", "sendMessageToUserAgent"];

/// A request without its key.
#[derive(Clone, Debug)]
struct Request {
    path: String,
    body: Option<Value>,
}

/// An operation with a request, and another request that must not have the same key.
struct Operation {
    id: String,
    request: Request,
    other: Request,
}

/// A deployment with the state that every operation needs.
struct Prepared {
    managed: Managed,
    answered: String,
    dead: String,
    /// The worker of the conversation of the dead letter.
    worker: String,
    jobs: [String; 2],
}

impl Prepared {
    async fn new() -> Self {
        let managed = Managed::new().await;
        let bot = managed.connected().await["botIdentity"].clone();
        managed.is_answered(&bot, "hello").await;
        let world = &managed.world;
        let list = "/v1/queue/messages?conversationId=user-agent:support:ann";
        let page = world.api.get(list).send().await.body_of(200);
        let answered = page["items"][0]["messageId"].as_str().unwrap().to_owned();
        world.agent("sales").await;
        let dead = world.enqueue_body(message("c", "poison")).await;
        let worker = world.worker("of-c").await;
        world.dead_letter_one(&worker, Some("c")).await;
        world.enqueue_body(message("d", "poison")).await;
        world.dead_letter_one(&world.worker("of-d").await, Some("d")).await;
        let jobs = [job(&managed, "one").await, job(&managed, "two").await];
        Self { managed, answered, dead, worker, jobs }
    }

    /// The requests of an operation. An operation that the document has and this list lacks fails the test.
    fn operation(&self, id: &str, path: &str, example: Option<&Value>) -> Operation {
        let path = path.replace("{consumerUserId}", "ann");
        let at = |name: &str, value: &str| path.replace(&format!("{{{name}}}"), value);
        let paths = match id {
            "freeConversation" => [at("conversationId", "user-agent:support:ann"), at("conversationId", "c")],
            "resendReply" => [at("messageId", &self.answered), at("messageId", "another")],
            "retryMessage" => [at("messageId", &self.dead), at("messageId", "another")],
            "triggerPushJob" => {
                self.jobs.each_ref().map(|job| at("pushJobId", job).replace("{agentKey}", "support"))
            }
            "createManagedBotLink" => [at("agentKey", "sales"), at("agentKey", "sales")],
            "rotateManagedBotToken" | "rotateManagedBotTokenForUser" => {
                [at("agentKey", "support"), at("agentKey", "sales")]
            }
            _ => [at("agentKey", "support"), at("agentKey", "support")],
        };
        let [body, other] = match (id, example) {
            (_, None) => [None, None],
            ("registerWorker", _) => [Some(json!({"workerId": "v-1"})), Some(json!({"workerId": "v-2"}))],
            ("freeConversation", _) => {
                let body = Some(json!({"reason": "the worker hangs"}));
                [body.clone(), body]
            }
            ("retryDeadLetters", _) => {
                [Some(json!({"conversationId": "d"})), Some(json!({"conversationId": "c"}))]
            }
            (_, Some(example)) => [Some(example.clone()), Some(changed(id, example))],
        };
        let [path, other_path] = paths;
        Operation {
            id: id.to_owned(),
            request: Request { path, body },
            other: Request { path: other_path, body: other },
        }
    }

    /// Each operation of the document with the header.
    fn operations(&self) -> Vec<Operation> {
        let document: Value = serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap();
        let mut found = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let operation = &item["post"];
            let mut parameters = operation["parameters"].as_array().into_iter().flatten();
            if parameters.any(|p| p["name"] == "Idempotency-Key") {
                let example = operation.pointer("/requestBody/content/application~1json/example");
                found.push(self.operation(operation["operationId"].as_str().unwrap(), path, example));
            }
        }
        assert!(found.len() >= 20, "the document has only {} operations with the header", found.len());
        found
    }

    fn call(&self, operation: &Operation, request: &Request) -> Call {
        let call = match &request.body {
            Some(body) => self.managed.post(&request.path, body.clone()),
            None => self.managed.world.post(&request.path).header("host", &self.managed.host),
        };
        call.header("idempotency-key", &format!("key-of-{}", operation.id))
    }

    /// The number of items, and the number of characters in them.
    async fn size(&self) -> (usize, usize) {
        let items = self.managed.world.items().await;
        (items.len(), items.iter().map(|item| item.to_string().len()).sum())
    }

    /// Sends the request this many times in parallel. Returns the only answer, and by how much the table has grown.
    async fn sent(&self, operation: &Operation, times: usize) -> (Value, [usize; 2]) {
        let before = self.size().await;
        let calls = (0..times).map(|_| self.call(operation, &operation.request).send());
        let answers = join_all(calls).await;
        let after = self.size().await;
        let in_flight =
            |answer: &&Answer| answer.status == 409 && REFUSED_IN_FLIGHT.contains(&operation.id.as_str());
        let of_effect: Vec<_> = answers.iter().filter(|answer| !in_flight(answer)).collect();
        assert!(!of_effect.is_empty(), "{}: every call was refused: {:?}", operation.id, answers[0]);
        let first = without_mark(of_effect[0]);
        for answer in of_effect {
            assert!(answer.status.is_success(), "{}: {answer:?}", operation.id);
            assert_eq!(without_mark(answer), first, "{}", operation.id);
        }
        (first, [after.0 - before.0, after.1.abs_diff(before.1)])
    }
}

/// A manual push job with this title.
async fn job(managed: &Managed, title: &str) -> String {
    let job = json!({"title": title, "text": "t", "schedule": {"kind": "manual"}});
    let made = managed.world.api.post("/v1/users/ann/agents/support/push-jobs", job).send().await;
    made.body_of(201)["pushJobId"].as_str().unwrap().to_owned()
}

/// The answer to a message says whether an earlier call has made the message. Everything else must be the same.
fn without_mark(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    body.as_object_mut().unwrap().remove("duplicate");
    json!([answer.status.as_u16(), body])
}

/// The example with another value in one field.
fn changed(id: &str, example: &Value) -> Value {
    let mut other = example.clone();
    match id {
        "enqueueMessage" => other["payload"]["messageText"] = json!("another"),
        "sendMessageToUserAgent" => other["content"] = json!("another"),
        "createPairingCode" | "createUserAgentPairing" => other["ttlMs"] = json!(600_000),
        "deploySkill" => other["version"] = json!("2.0.0"),
        "createUserToken" => other["ttlSeconds"] = json!(61),
        "createKey" | "createManagedBotLink" => other["name"] = json!("another"),
        "createMessageTemplate"
        | "createPushTemplate"
        | "createPushJob"
        | "sendBroadcastToAllActiveAgents" => {
            other["title"] = json!("another");
        }
        _ => panic!("{id}: this test needs another request of this operation"),
    }
    other
}

#[tokio::test]
async fn parallel_calls_with_one_idempotency_key_have_one_effect_and_one_answer() {
    let (once, often) = (Prepared::new().await, Prepared::new().await);
    for operation in once.operations() {
        let (_, by_one) = once.sent(&operation, 1).await;
        let same = often.operations().into_iter().find(|o| o.id == operation.id).unwrap();
        let (answer, by_all) = often.sent(&same, PARALLEL_CALLS).await;
        assert_eq!(by_all, by_one, "{}: items, and characters in them", operation.id);
        let before = often.managed.world.items().await;
        let again = often.call(&same, &same.request).send().await;
        assert_eq!(without_mark(&again), answer, "{}", operation.id);
        let refused = often.managed.world.refused(often.call(&same, &same.other)).await;
        assert_eq!(refused.problem(), (422, "idempotency_mismatch"), "{}", operation.id);
        assert_eq!(
            often.managed.world.items().await,
            before,
            "{}: a repetition writes nothing",
            operation.id
        );
    }
    let tokens = |of: &Prepared| of.managed.tokens();
    assert_eq!(tokens(&often), tokens(&once), "each token of a bot is replaced as often");
}

#[tokio::test]
async fn an_idempotency_key_is_free_after_a_day() {
    let world = Prepared::new().await;
    let operations = world.operations();
    for operation in &operations {
        world.sent(operation, 1).await;
    }
    world.managed.world.advance(Millis::new(DAY.as_millis() - 1));
    for operation in &operations {
        let refused = world.call(operation, &operation.other).send().await;
        assert_eq!(refused.problem(), (422, "idempotency_mismatch"), "{}", operation.id);
    }
    world.managed.world.advance(Millis::new(1));
    for operation in &operations {
        let answer = world.call(operation, &operation.other).send().await;
        let is_kept = KEPT_WITH_THE_MESSAGE.contains(&operation.id.as_str());
        let is_refused = answer.body["code"] == "idempotency_mismatch";
        assert_eq!(is_refused, is_kept, "{}: {answer:?}", operation.id);
    }
}

#[tokio::test]
async fn a_refused_call_frees_its_idempotency_key_and_a_dead_letter_can_be_redriven_again_after_a_day() {
    let prepared = Prepared::new().await;
    let world = &prepared.managed.world;
    let retry = |id: &str| world.post(&format!("/v1/queue/{id}/retry")).header("idempotency-key", "k");
    assert_eq!(world.refused(retry(&prepared.answered)).await.problem(), (409, "conflict"));
    retry(&prepared.dead).send().await.body_of(200);
    world.dead_letter_one(&prepared.worker, Some("c")).await;
    retry(&prepared.dead).send().await.body_of(200);
    assert_eq!(world.shown(&prepared.dead).await["status"], "dead_letter", "the call was carried out before");
    world.advance(DAY);
    retry(&prepared.dead).send().await.body_of(200);
    assert_eq!(world.shown(&prepared.dead).await["status"], "queued", "the key is free");
}

#[tokio::test]
async fn a_call_whose_process_has_died_is_refused_for_a_minute_and_then_carried_out() {
    let prepared = Prepared::new().await;
    let world = &prepared.managed.world;
    let body = ["retry", &prepared.dead];
    let begun = idempotency::call(&world.app, BOOTSTRAP_KEY_ID, "k", &body);
    world.app.store.begin_call_if_new(&begun, "a-run-that-died").await.unwrap();
    let retry =
        || world.post(&format!("/v1/queue/{}/retry", prepared.dead)).header("idempotency-key", "k").send();
    world.advance(Millis::from_secs(59));
    let in_flight = retry().await;
    assert_eq!(in_flight.problem(), (409, "conflict"));
    assert_eq!(in_flight.headers["retry-after"], "1");
    assert_eq!(world.shown(&prepared.dead).await["status"], "dead_letter");
    world.advance(Millis::from_secs(1));
    retry().await.body_of(200);
    assert_eq!(world.shown(&prepared.dead).await["status"], "queued");
}
