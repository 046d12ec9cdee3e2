//! What is true when a message runs counts, not what was true when it was accepted: the binding, the chat and the agent.

use af_domain::time::Millis;
use af_tests::bundle::START;
use af_tests::telegram::{CHAT, Person};
use serde_json::{Value, json};

use crate::api::World;

const AGENT: &str = "/v1/agents/support";
/// The time of the scheduled messages, after the start.
const LATER_MS: u64 = 60_000;
/// The longest time until an agent that is enabled again is noticed.
const MAX_HOLD: Millis = Millis::from_secs(120);

/// The agent `support` with a bot, and a free worker.
struct Deployment {
    world: World,
    person: Person,
    worker: String,
}

impl Deployment {
    async fn new() -> Self {
        let (bundle, telegram) = af_tests::telegram::with_telegram().await;
        let world = World::over(bundle).await;
        let api = af_tests::calls::Api::of(&world.bundle).await;
        let person = Person::writes_to(&world.bundle, api, telegram, "support").await;
        let worker = world.worker("w").await;
        Self { world, person, worker }
    }

    async fn bind_chat(&self, user: &str, chat: i64) {
        let bot = self.person.bot.id.to_string();
        let telegram = json!({"botIdentity": bot, "userId": chat.to_string(), "chatId": chat.to_string()});
        let body = json!({"agentKey": "support", "telegram": telegram});
        self.world.api.put(&format!("/v1/users/{user}/binding"), body).send().await.body_of(200);
    }

    async fn revoke(&self, user: &str) {
        self.world.api.delete(&format!("/v1/users/{user}/binding")).send().await.body_of(204);
    }

    /// A message of a user that is due after a minute.
    async fn schedules(&self, user: &str) -> String {
        let body = json!({"content": "later", "scheduledFor": START.as_millis() + LATER_MS});
        let path = format!("/v1/users/{user}/agents/support/messages");
        let sent = self.world.api.post(&path, body).send().await.body_of(202);
        sent["messageId"].as_str().unwrap().to_owned()
    }

    async fn poll(&self, conversation: Option<&str>) -> Value {
        self.world.poll(&self.worker, json!({"conversationId": conversation})).await
    }

    /// Claims `message`, and returns where its reply goes. The bundle and another claim say the same.
    async fn target_of(&self, message: &str) -> (String, String) {
        let job = self.poll(None).await["job"].clone();
        assert_eq!(job["messageId"], message, "{job}");
        let bundle = format!("/v1/worker/messages/{message}/bundle");
        let bundle = self.world.api.get(&bundle).key(&self.worker).send().await.body_of(200);
        let again = self.poll(None).await["job"].clone();
        for said in [&bundle["payload"], &again["payload"]] {
            assert_eq!(*said, job["payload"]);
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(job["payload"]["metadata"]["providerUserId"], job["payload"]["providerUserId"]);
        (text(&job["payload"]["provider"]), text(&job["payload"]["providerUserId"]))
    }

    async fn complete(&self, message: &str) {
        let job = self.poll(None).await["job"].clone();
        let body = json!({"leaseId": job["leaseId"], "fence": job["fence"], "reply": {"text": "kept"}});
        let path = format!("/v1/worker/messages/{message}/complete");
        self.world.api.post(&path, body).key(&self.worker).send().await.body_of(200);
    }

    async fn message(&self, id: &str) -> Value {
        self.world.message(&json!(id)).await
    }

    async fn set_enabled(&self, enabled: bool) {
        let body = json!({"version": "1", "enabled": enabled});
        self.world.api.put(AGENT, body).send().await.body_of(200);
    }

    async fn waits_for(&self, id: &str) -> Value {
        self.world.api.get(&format!("/v1/queue/{id}/why")).send().await.body_of(200)["waitsFor"].clone()
    }
}

fn chat(id: i64) -> (String, String) {
    ("telegram".to_owned(), id.to_string())
}

fn app(user: &str) -> (String, String) {
    ("system_push".to_owned(), user.to_owned())
}

#[tokio::test]
async fn nothing_of_a_revoked_user_reaches_the_chat_that_another_user_is_bound_to() {
    let world = Deployment::new().await;
    world.bind_chat("ann", CHAT).await;
    let scheduled = world.schedules("ann").await;
    world.revoke("ann").await;
    world.bind_chat("bob", CHAT).await;
    world.world.advance(Millis::new(LATER_MS));
    assert_eq!(world.target_of(&scheduled).await, app("ann"));
    world.complete(&scheduled).await;
    let shown = world.world.api.get(&format!("/v1/users/ann/messages/{scheduled}")).send().await.body_of(200);
    assert_eq!((&shown["status"], &shown["reply"]), (&json!("done"), &json!("kept")), "the app can read it");
}

#[tokio::test]
async fn a_message_that_waits_behind_a_running_one_is_not_answered_in_a_revoked_chat() {
    let world = Deployment::new().await;
    world.bind_chat("ann", CHAT).await;
    let first = world.person.says(1, json!({"text": "first"})).await;
    let second = world.person.says(2, json!({"text": "second"})).await;
    assert_eq!(world.target_of(&first).await, chat(CHAT));
    world.revoke("ann").await;
    world.bind_chat("bob", CHAT).await;
    world.complete(&first).await;
    assert_eq!(world.target_of(&second).await, app("ann"));
}

#[tokio::test]
pub async fn after_a_rebind_to_another_chat_the_old_chat_gets_nothing() {
    let world = Deployment::new().await;
    world.bind_chat("ann", CHAT).await;
    let scheduled = world.schedules("ann").await;
    let waiting = world.person.says(1, json!({"text": "from the old chat"})).await;
    world.bind_chat("ann", 777).await;
    assert_eq!(world.target_of(&waiting).await, chat(777));
    world.complete(&waiting).await;
    world.world.advance(Millis::new(LATER_MS));
    assert_eq!(world.target_of(&scheduled).await, chat(777));
}

#[tokio::test]
async fn a_message_is_answered_in_the_chat_that_its_user_has_since() {
    let world = Deployment::new().await;
    world.world.bind("ann", "support").await;
    let scheduled = world.schedules("ann").await;
    world.bind_chat("ann", CHAT).await;
    world.world.advance(Millis::new(LATER_MS));
    assert_eq!(world.target_of(&scheduled).await, chat(CHAT));
}

#[tokio::test]
async fn a_user_who_is_bound_without_a_chat_is_answered_where_the_message_came_from() {
    let world = Deployment::new().await;
    let telegram = json!({"botIdentity": world.person.bot.id.to_string(), "userId": CHAT.to_string()});
    let body = json!({"agentKey": "support", "telegram": telegram});
    world.world.api.put("/v1/users/ann/binding", body).send().await.body_of(200);
    let from_chat = world.person.says(1, json!({"text": "hello"})).await;
    assert_eq!(world.target_of(&from_chat).await, chat(CHAT));
    world.complete(&from_chat).await;
    let from_app = world.world.say("ann", "hello").await;
    assert_eq!(world.target_of(&from_app).await, app("ann"));
}

#[tokio::test]
async fn a_message_of_an_unbound_chat_and_a_target_of_the_caller_are_kept() {
    let world = Deployment::new().await;
    let unbound = world.person.says(1, json!({"text": "hello"})).await;
    assert_eq!(world.target_of(&unbound).await, chat(CHAT));
    world.complete(&unbound).await;
    world.bind_chat("ann", 777).await;
    let worker = world.world.worker("w2").await;
    world.world.enqueue("user-agent:support:ann", "hello").await;
    let job = world.world.poll(&worker, json!({})).await["job"].clone();
    assert_eq!(
        (&job["payload"]["provider"], &job["payload"]["providerUserId"]),
        (&json!("app"), &json!("u-1"))
    );
}

#[tokio::test]
async fn a_message_of_a_disabled_agent_starts_no_run_and_runs_when_the_agent_is_enabled() {
    let world = Deployment::new().await;
    world.bind_chat("ann", CHAT).await;
    let id = world.schedules("ann").await;
    world.set_enabled(false).await;
    world.world.advance(Millis::new(LATER_MS));
    assert_eq!(world.poll(None).await["job"], Value::Null);
    let shown = world.message(&id).await;
    assert_eq!((&shown["status"], &shown["attempts"]), (&json!("queued"), &json!(0)));
    assert_eq!(world.waits_for(&id).await, "agent_disabled");
    let outbox = world.person.telegram.outbox(None, Some(CHAT), 10);
    assert!(outbox.is_empty(), "{outbox:?}");
    world.set_enabled(true).await;
    world.world.advance(MAX_HOLD);
    assert_eq!(world.target_of(&id).await, chat(CHAT));
    world.complete(&id).await;
    assert_eq!(world.message(&id).await["status"], "done");
}

#[tokio::test]
async fn an_owner_does_not_run_the_next_message_of_a_disabled_agent() {
    let world = Deployment::new().await;
    world.world.bind("ann", "support").await;
    let first = world.world.say("ann", "one").await;
    let second = world.world.say("ann", "two").await;
    assert_eq!(world.target_of(&first).await, app("ann"));
    world.set_enabled(false).await;
    world.complete(&first).await;
    world.world.expire_caches();
    let own = Some("user-agent:support:ann");
    assert_eq!(world.poll(own).await["job"], Value::Null);
    assert_eq!(world.waits_for(&second).await, "agent_disabled");
    // The first poll of a quiet owner withdraws the request to release the conversation.
    assert_eq!(world.poll(own).await["job"], Value::Null);
    let before = world.world.items().await;
    assert_eq!(world.poll(own).await["job"], Value::Null);
    assert_eq!(world.world.items().await, before, "a held conversation is not written at each poll");
    world.set_enabled(true).await;
    assert_eq!(world.poll(own).await["job"]["messageId"], Value::Null, "the worker's function has its copy");
    world.world.advance(Millis::from_secs(11));
    assert_eq!(world.poll(own).await["job"]["messageId"], json!(second));
}

#[tokio::test]
async fn a_disabled_agent_gets_no_worker_and_holds_its_conversation_for_a_growing_time() {
    let world = World::new().await;
    let id = world.enqueue("c", "hello").await;
    world.api.put(AGENT, json!({"version": "1", "enabled": false})).send().await.body_of(200);
    let mut holds = Vec::new();
    for _ in 0..12 {
        let report = world.reconcile().await;
        assert!(report.actions.is_empty() && report.unserved == 0, "{report:?}");
        let why = world.api.get(&format!("/v1/queue/{id}/why")).send().await.body_of(200);
        assert_eq!(why["waitsFor"], "agent_disabled");
        let left = why["until"].as_u64().unwrap() - world.app.now().as_millis();
        holds.push(left);
        world.advance(Millis::new(left));
    }
    assert!(holds.is_sorted() && holds[0] <= 5_000, "{holds:?}");
    assert_eq!(holds.last(), Some(&MAX_HOLD.as_millis()), "{holds:?}");
    world.api.put(AGENT, json!({"version": "1"})).send().await.body_of(200);
    world.advance(MAX_HOLD);
    let report = world.reconcile().await;
    assert!(report.actions.iter().any(|planned| planned.action == "spawn"), "{report:?}");
}

#[tokio::test]
async fn what_waits_for_a_deleted_agent_becomes_a_dead_letter_that_says_so() {
    let world = Deployment::new().await;
    world.bind_chat("ann", CHAT).await;
    let id = world.schedules("ann").await;
    world.world.api.delete(AGENT).send().await.body_of(204);
    world.world.advance(Millis::new(LATER_MS));
    assert_eq!(world.poll(None).await["job"], Value::Null);
    let shown = world.message(&id).await;
    assert_eq!(
        (&shown["status"], &shown["lastError"]),
        (&json!("dead_letter"), &json!("agent support is deleted"))
    );
}

#[tokio::test]
async fn after_a_rebind_to_another_agent_the_old_agent_does_not_answer() {
    let world = Deployment::new().await;
    world.bind_chat("ann", CHAT).await;
    let id = world.schedules("ann").await;
    world.world.agent("sales").await;
    world.world.bind("ann", "sales").await;
    world.world.advance(Millis::new(LATER_MS));
    assert_eq!(world.poll(None).await["job"], Value::Null);
    let shown = world.message(&id).await;
    let reason = json!("user ann is bound to agent sales by now");
    assert_eq!((&shown["status"], &shown["lastError"]), (&json!("dead_letter"), &reason));
}

#[tokio::test]
async fn an_agent_that_was_enabled_a_moment_ago_takes_messages_at_once() {
    let world = World::new().await;
    let disable = |enabled| world.api.put(AGENT, json!({"version": "1", "enabled": enabled}));
    disable(false).send().await.body_of(200);
    world.bundle.clock.advance(Millis::from_secs(61));
    let bind = || world.api.put("/v1/users/ann/binding", json!({"agentKey": "support"}));
    assert_eq!(bind().send().await.problem(), (409, "agent_disabled"));
    disable(true).send().await.body_of(200);
    bind().send().await.body_of(200);
    disable(false).send().await.body_of(200);
    world.bundle.clock.advance(Millis::from_secs(61));
    let say = || world.api.post("/v1/users/ann/agents/support/messages", json!({"content": "hello"}));
    assert_eq!(say().send().await.problem(), (409, "agent_disabled"));
    disable(true).send().await.body_of(200);
    say().send().await.body_of(202);
}
