//! The events of a conversation, as a consumer app sees them.

use af_app::conversations::events;
use af_domain::follow::Seen;
use af_domain::time::Millis;
use af_tests::telegram::{CHAT, Person, with_telegram};
use serde_json::{Value, json};

use crate::api::World;

const EVENTS: &str = "/v1/users/ann/agents/support/events";
const CONVERSATION: &str = "user-agent:support:ann";

/// A caller who follows the conversation of ann.
struct Caller<'a> {
    world: &'a World,
    cursor: String,
}

impl<'a> Caller<'a> {
    async fn begins(world: &'a World) -> (Vec<Value>, Caller<'a>) {
        let mut caller = Self { world, cursor: String::new() };
        let page = world.api.get(EVENTS).send().await.body_of(200);
        (caller.take(page), caller)
    }

    fn take(&mut self, page: Value) -> Vec<Value> {
        page["nextCursor"].as_str().unwrap().clone_into(&mut self.cursor);
        page["items"].as_array().unwrap().clone()
    }

    fn path(&self) -> String {
        format!("{EVENTS}?after={}", self.cursor)
    }

    async fn looks(&mut self) -> Vec<Value> {
        let page = self.world.api.get(&self.path()).send().await.body_of(200);
        self.take(page)
    }

    /// The types and the states of new events.
    async fn sees(&mut self) -> Vec<String> {
        self.looks().await.iter().map(summary).collect()
    }
}

fn summary(event: &Value) -> String {
    let detail = [&event["status"], &event["text"], &event["delivery"]["state"]];
    let detail = detail.into_iter().find_map(Value::as_str).unwrap_or_default();
    format!("{} {detail}", event["type"].as_str().unwrap())
}

/// Claims the next message and returns its job.
async fn claim(world: &World, token: &str) -> Value {
    world.poll(token, json!({})).await["job"].clone()
}

#[tokio::test]
async fn a_caller_sees_each_state_of_a_message_and_its_reply() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let token = world.worker("w").await;
    let (events, mut caller) = Caller::begins(&world).await;
    assert_eq!(events, [Value::Null; 0], "nothing waits or runs");
    let id = world.say("ann", "hello").await;
    let start = af_tests::bundle::START.as_millis();
    let queued = json!({"type": "status", "messageId": id, "status": "queued", "attempts": 0, "at": start});
    assert_eq!(caller.looks().await, [queued]);
    assert_eq!(caller.sees().await, [""; 0]);
    let job = claim(&world, &token).await;
    assert_eq!(caller.sees().await, ["status processing"]);
    world.on_job(&token, &job, "heartbeat", json!({"progress": "It searches."})).await;
    let draft = json!({"type": "draft", "messageId": id, "text": "It searches.", "at": start});
    assert_eq!(caller.looks().await, [draft]);
    world.advance(Millis::new(7));
    world.on_job(&token, &job, "complete", json!({"reply": {"text": "hi there"}})).await;
    let done = json!({
        "type": "status", "messageId": id, "status": "done", "attempts": 1, "reply": "hi there", "at": start + 7,
    });
    assert_eq!(caller.looks().await, [done]);
    assert_eq!(caller.sees().await, [""; 0]);

    world.say("ann", "again").await;
    let (events, mut late) = Caller::begins(&world).await;
    assert_eq!(events.iter().map(summary).collect::<Vec<_>>(), ["status queued"], "a later caller");
    world.dead_letter_one(&token, Some(CONVERSATION)).await;
    assert_eq!(caller.sees().await, ["status dead_letter"], "the states in between are over");
    let dead = late.looks().await;
    assert_eq!((summary(&dead[0]), &dead[0]["error"]), ("status dead_letter".to_owned(), &json!("no")));
}

#[tokio::test]
async fn a_call_waits_for_an_event_and_answers_within_half_a_second() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let token = world.worker("w").await;
    let (_, mut caller) = Caller::begins(&world).await;
    let wait = |caller: &Caller<'_>| world.api.get(&format!("{}&waitMs=20000", caller.path())).send();
    let (page, passed) = world.waited(wait(&caller)).await;
    assert_eq!(caller.take(page), [Value::Null; 0]);
    assert!(passed >= Millis::from_secs(20), "{passed}");

    let half_a_second = Millis::new(500);
    let calling = tokio::spawn(wait(&caller));
    tokio::task::yield_now().await;
    world.say("ann", "hello").await;
    let (page, passed) = world.waited(async { calling.await.unwrap() }).await;
    assert_eq!(caller.take(page).iter().map(summary).collect::<Vec<_>>(), ["status queued"]);
    assert!(passed <= half_a_second, "{passed}");

    let calling = tokio::spawn(wait(&caller));
    tokio::task::yield_now().await;
    world.complete_one(&token, None, json!([])).await;
    let (page, passed) = world.waited(async { calling.await.unwrap() }).await;
    assert_eq!(caller.take(page).iter().map(summary).collect::<Vec<_>>(), ["status done"]);
    assert!(passed <= half_a_second, "{passed}");
}

#[tokio::test]
async fn a_caller_sees_the_delivery_of_a_reply() {
    let (bundle, telegram) = with_telegram().await;
    let world = World::over(bundle).await;
    let person = Person::writes_to(&world.bundle, world.api.clone(), telegram, "support").await;
    let telegram = json!({"botIdentity": person.bot.id.to_string(), "userId": CHAT.to_string(), "chatId": CHAT.to_string()});
    let body = json!({"agentKey": "support", "telegram": telegram});
    world.api.put("/v1/users/ann/binding", body).send().await.body_of(200);
    let (_, mut caller) = Caller::begins(&world).await;
    let token = world.worker("w").await;
    person.telegram.fault("sendMessage", &af_emulator_telegram::Fault::rate_limited(60), 1);
    person.says(1, json!({"text": "hello"})).await;
    world.complete_one(&token, None, json!([])).await;
    assert_eq!(caller.sees().await, ["status done"], "Telegram asks to wait");
    assert_eq!(caller.sees().await, [""; 0]);
    world.advance(Millis::from_secs(60));
    af_app::outbox::deliver_due(&world.bundle.restricted_app("effects")).await.unwrap();
    assert_eq!(caller.sees().await, ["delivery sent"]);
    assert_eq!(caller.sees().await, [""; 0]);
}

#[tokio::test]
async fn a_foreign_conversation_and_a_foreign_cursor_are_refused() {
    let world = World::new().await;
    assert_eq!(world.api.get(EVENTS).send().await.problem(), (404, "not_found"), "ann is not bound");
    world.bind("ann", "support").await;
    world.bind("bob", "support").await;
    let (_, caller) = Caller::begins(&world).await;
    for after in [caller.cursor.as_str(), "AAAA", ""] {
        let path = format!("/v1/users/bob/agents/support/events?after={after}&waitMs=20000");
        let answer = world.api.get(&path).send().await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/after"), "{after}");
    }
    let answer = world.api.get(&format!("{}&waitMs=20001", caller.path())).send().await;
    assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/waitMs"));
}

#[tokio::test]
async fn a_caller_who_returns_after_many_messages_is_sent_back_to_the_conversation() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let (_, mut caller) = Caller::begins(&world).await;
    for n in 0..51 {
        let id = world.say("ann", &format!("question {n}")).await;
        world.api.delete(&format!("/v1/users/ann/messages/{id}")).send().await.body_of(200);
    }
    world.advance(Millis::new(1));
    assert_eq!(caller.sees().await, ["resync "]);
    world.advance(Millis::from_secs(3_600));
    world.say("ann", "hello").await;
    assert_eq!(caller.sees().await, ["status queued"]);
}

#[tokio::test]
async fn a_look_at_a_quiet_conversation_reads_one_item() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    world.say("ann", "hello").await;
    let (boot, meter) = world.bundle.metered_boot("user-api");
    let app = af_app::App::from_boot(&boot).unwrap();
    let (user, agent) = ("ann".parse().unwrap(), "support".parse().unwrap());
    let begun = Box::pin(events::begin(&app, &user, &agent)).await.unwrap();
    assert_eq!(meter.take().requests, 2);
    let look = async |seen: Seen| {
        let followed = Box::pin(events::follow(&app, &user, &agent, seen, Millis::default())).await.unwrap();
        (followed.seen, meter.take())
    };
    let (seen, usage) = look(begun.seen).await;
    assert_eq!(usage.requests, 2, "the list of messages may lag");
    world.advance(Millis::from_secs(10));
    let (_, usage) = look(seen).await;
    assert_eq!((usage.requests, usage.read_units), (1, 1.0));
}
