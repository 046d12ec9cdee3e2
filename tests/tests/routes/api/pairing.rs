//! Pairing codes: created, shown, and used by a person in Telegram.

use af_domain::time::Millis;
use af_tests::telegram::{CHAT, Person, connect, with_telegram};
use serde_json::{Value, json};

use crate::api::World;

const PAIRING: &str = "/v1/users/ann/agents/support/pairing";

/// A deployment whose agent has a bot with a ready webhook, and a person who writes to it.
async fn world() -> (World, Person) {
    let (bundle, telegram) = with_telegram().await;
    let world = World::over(bundle).await;
    let person = Person::writes_to(&world.bundle, world.api.clone(), telegram, "support").await;
    (world, person)
}

async fn code_for(world: &World, user: &str) -> String {
    let path = format!("/v1/users/{user}/agents/support/pairing");
    let made = world.api.post(&path, json!({})).send().await.body_of(201);
    made["pairing"]["code"].as_str().unwrap().to_owned()
}

fn text(text: &str) -> Value {
    json!({"text": text})
}

fn failed(error: &str) -> Value {
    json!({"ok": true, "pairing": {"status": "failed", "error": error}})
}

fn paired(user: &str) -> Value {
    json!({"ok": true, "pairing": {"status": "used", "consumerUserId": user, "agentKey": "support"}})
}

/// The notices that wait for the person.
async fn notices(world: &World) -> Vec<String> {
    let listed = world.api.get("/v1/outbox").send().await.body_of(200);
    let items =
        listed["items"].as_array().unwrap().iter().flat_map(|outbox| outbox["items"].as_array().unwrap());
    items.map(|item| item["notice"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_person_learns_once_what_a_start_has_done() {
    let (world, person) = world().await;
    let profile = json!({"version": "1", "displayName": "Support"});
    world.api.put("/v1/agents/support", profile).send().await.body_of(200);
    let code = code_for(&world, "ann").await;
    for _ in 0..2 {
        person.sends(1, "message", text("/start")).await;
    }
    for _ in 0..2 {
        person.sends(2, "message", text("/start WRONG")).await;
        person.sends(3, "message", text(&format!("/start {code}"))).await;
    }
    person.sends(4, "message", text("/start")).await;
    let told = notices(&world).await;
    let begins = [
        "Hello! This chat is not connected",
        "This code is not valid. Open the link",
        "You are connected with Support.",
        "Hello! You are connected.",
    ];
    assert_eq!(told.len(), begins.len(), "{told:?}");
    assert!(told.iter().zip(begins).all(|(told, begin)| told.starts_with(begin)), "{told:?}");
}

#[tokio::test]
pub async fn the_texts_of_the_deployment_and_of_the_agent_replace_the_defaults_and_an_empty_one_sends_none() {
    let (world, person) = world().await;
    let texts = json!({
        "greeting": "Back again", "unknownGreeting": "I am {agent}", "paired": "", "wrongCode": "No",
        "stopped": "Done", "nothingToStop": "",
    });
    let of_agent = json!({"support": {"texts": {"wrongCode": "Wrong for {agent}"}}});
    let config = json!({"texts": texts, "agents": of_agent});
    world.api.put("/v1/config/ingress", config).send().await.body_of(200);
    let profile = json!({"version": "1", "displayName": "Mia"});
    world.api.put("/v1/agents/support", profile).send().await.body_of(200);
    world.advance(Millis::from_secs(11));
    let code = code_for(&world, "ann").await;
    person.sends(1, "message", text("/start")).await;
    person.sends(2, "message", text("/start WRONG")).await;
    assert_eq!(person.sends(3, "message", text(&format!("/start {code}"))).await, paired("ann"));
    person.sends(4, "message", text("/start")).await;
    person.sends(5, "message", text("/stop")).await;
    person.says(6, text("hello")).await;
    person.sends(7, "message", text("/stop")).await;
    assert_eq!(notices(&world).await, ["I am Mia", "Wrong for Mia", "Back again", "Done"]);
}

#[tokio::test]
async fn the_fifth_wrong_code_is_answered_with_the_wait_and_later_ones_are_not_answered() {
    let (world, person) = world().await;
    for update in 1..=7 {
        person.sends(update, "message", text("/start WRONG")).await;
    }
    let told = notices(&world).await;
    assert_eq!(told.iter().position(|told| told.contains("ten minutes")), Some(4), "{told:?}");
    assert_eq!(told.len(), 5);
}

#[tokio::test]
async fn a_full_outbox_stops_no_pairing() {
    let (world, person) = world().await;
    let code = code_for(&world, "ann").await;
    for update in 1..=200 {
        person.sends(update, "message", text("/start")).await;
    }
    assert_eq!(person.sends(201, "message", text("/start")).await, json!({"ok": true, "known": false}));
    assert_eq!(person.sends(202, "message", text("/start WRONG")).await, failed("invalid_code"));
    assert_eq!(person.sends(203, "message", text(&format!("/start {code}"))).await, paired("ann"));
    assert_eq!(notices(&world).await.len(), 200);
}

#[tokio::test]
async fn a_person_who_sends_the_code_is_bound() {
    let (world, person) = world().await;
    let start = af_tests::bundle::START.as_millis();
    let bot = person.bot.id.to_string();
    let made = world.api.post(PAIRING, json!({"ttlMs": 60_000})).send().await.body_of(201);
    let code = made["pairing"]["code"].as_str().unwrap().to_owned();
    assert_eq!(code.len(), 12);
    let mut shown = json!({
        "code": code, "consumerUserId": "ann", "agentKey": "support", "botIdentity": bot, "status": "pending",
        "createdAt": start, "expiresAt": start + 60_000,
    });
    let link = format!("https://t.me/{}?start={code}", person.bot.username);
    assert_eq!(made, json!({"pairing": shown, "deepLink": link}));
    assert_eq!(world.api.get(PAIRING).send().await.body_of(200), shown);

    world.advance(Millis::new(5));
    let queue = world.api.get("/v1/queue/stats").send().await.body_of(200);
    let answer = person.sends(1, "message", text(&format!("/start {code}"))).await;
    assert_eq!(answer, paired("ann"));
    assert_eq!(world.api.get("/v1/queue/stats").send().await.body_of(200), queue, "no message is enqueued");
    let binding = world.api.get("/v1/users/ann/binding").send().await.body_of(200);
    let expected = json!({
        "consumerUserId": "ann", "agentKey": "support", "conversationId": "user-agent:support:ann",
        "status": "active", "source": "telegram_pairing", "botIdentity": bot, "telegramUserId": CHAT.to_string(),
        "telegramChatId": CHAT.to_string(), "boundAt": start + 5,
    });
    assert_eq!(binding, expected);
    for (name, value) in [
        ("status", json!("used")),
        ("usedAt", json!(start + 5)),
        ("telegramUserId", json!(CHAT.to_string())),
        ("telegramChatId", json!(CHAT.to_string())),
    ] {
        shown[name] = value;
    }
    assert_eq!(world.api.get(&format!("/v1/pairing-codes/{code}")).send().await.body_of(200), shown);
    let resolved = |query: &str| world.api.get(&format!("/v1/bindings?botIdentity={bot}{query}"));
    for query in ["&telegramUserId=555", "&telegramChatId=555", "&telegramUserId=555&telegramChatId=555"] {
        assert_eq!(resolved(query).send().await.body_of(200), expected);
    }
    assert_eq!(resolved("&telegramUserId=556").send().await.problem(), (404, "not_found"));
    assert_eq!(resolved("").send().await.pointer(), "/telegramUserId");

    let message = person.says(2, text("hello")).await;
    assert_eq!(world.message(&json!(message)).await["conversationId"], "user-agent:support:ann");
}

#[tokio::test]
async fn a_repeated_update_gets_the_same_answer_and_another_person_does_not() {
    let (world, person) = world().await;
    let code = code_for(&world, "ann").await;
    let start = format!("/start {code}");
    assert_eq!(person.sends(1, "message", text(&start)).await, paired("ann"));
    let items = world.items().await;
    assert_eq!(person.sends(1, "message", text(&start)).await, paired("ann"));
    assert_eq!(world.items().await, items, "the repetition writes nothing");
    let other = json!({"text": start, "from": {"id": 777}, "chat": {"id": 777, "type": "private"}});
    assert_eq!(person.sends(2, "message", other).await, failed("invalid_code"));
}

#[tokio::test]
async fn an_unknown_expired_replaced_used_or_malformed_code_has_one_error() {
    let (world, person) = world().await;
    let replaced = code_for(&world, "ann").await;
    let expired = code_for(&world, "ann").await;
    let shown = world.api.get(&format!("/v1/pairing-codes/{replaced}")).send().await.body_of(200);
    assert_eq!(shown["status"], "expired", "a newer code expires it");
    world.advance(Millis::from_secs(15 * 60));
    let shown = world.api.get(&format!("/v1/pairing-codes/{expired}")).send().await.body_of(200);
    assert_eq!(shown["status"], "expired");
    for (update, code) in [(1, &*replaced), (2, &*expired), (3, "UNKNOWNCODE"), (4, "a b"), (5, "x")] {
        assert_eq!(
            person.sends(update, "message", text(&format!("/start {code}"))).await,
            failed("invalid_code"),
            "{code}"
        );
    }
    assert_eq!(world.api.get("/v1/users/ann/binding").send().await.problem(), (404, "not_found"));
    world.advance(Millis::from_days(1));
    let gone = world.api.get(&format!("/v1/pairing-codes/{expired}")).send().await;
    assert_eq!(gone.problem(), (404, "not_found"));
}

#[tokio::test]
async fn five_wrong_codes_lock_the_person_for_ten_minutes_and_no_other_person() {
    let (world, person) = world().await;
    let code = code_for(&world, "ann").await;
    for update in 1..=5 {
        assert_eq!(person.sends(update, "message", text("/start WRONG")).await, failed("invalid_code"));
    }
    let right = format!("/start {code}");
    assert_eq!(
        person.sends(5, "message", text("/start WRONG")).await,
        failed("invalid_code"),
        "a repetition"
    );
    assert_eq!(person.sends(6, "message", text(&right)).await, failed("too_many_wrong_codes"));
    let other = json!({"text": "/start WRONG", "from": {"id": 777}, "chat": {"id": 777, "type": "private"}});
    assert_eq!(person.sends(7, "message", other).await, failed("invalid_code"));
    world.advance(Millis::from_secs(600));
    assert_eq!(person.sends(8, "message", text(&right)).await, paired("ann"));
}

#[tokio::test]
async fn a_code_in_a_group_pairs_no_chat_and_stays_valid() {
    let (world, person) = world().await;
    let right = format!("/start {}", code_for(&world, "ann").await);
    let group = json!({"text": right, "chat": {"id": -4_001, "type": "group"}});
    assert_eq!(person.sends(1, "message", group).await, failed("private_chat_only"));
    let bare = json!({"text": "/start", "chat": {"id": -4_001, "type": "group"}});
    assert_eq!(person.sends(2, "message", bare).await, json!({"ok": true, "ignored": "start_command"}));
    assert_eq!(person.sends(3, "message", text(&right)).await, paired("ann"));
}

#[tokio::test]
async fn a_bare_start_says_whether_the_person_is_known() {
    let (world, person) = world().await;
    assert_eq!(person.sends(1, "message", text("/start")).await, json!({"ok": true, "known": false}));
    let code = code_for(&world, "ann").await;
    person.sends(2, "message", text(&format!("/start {code}"))).await;
    assert_eq!(person.sends(3, "message", text("/start")).await, json!({"ok": true, "known": true}));
}

#[tokio::test]
async fn a_code_needs_an_enabled_agent_with_a_bot_and_a_ready_webhook() {
    let (bundle, telegram) = with_telegram().await;
    let world = World::over(bundle).await;
    let create = |body: Value| world.api.post(PAIRING, body);
    let unknown = world.api.post("/v1/users/ann/agents/unknown/pairing", json!({}));
    assert_eq!(world.refused(unknown).await.problem(), (404, "not_found"));
    let without_bot = world.refused(create(json!({}))).await;
    assert_eq!(without_bot.problem(), (409, "not_configured"));
    assert!(without_bot.detail().contains("telegram-token"), "{}", without_bot.detail());
    let bot = telegram.add_bot(None, None).unwrap();
    let token = json!({"plaintextValue": bot.token});
    world.api.put("/v1/agents/support/telegram-token", token).send().await.body_of(200);
    let not_ready = world.refused(create(json!({}))).await;
    assert_eq!(not_ready.problem(), (409, "not_configured"));
    assert!(not_ready.detail().contains("POST /v1/telegram/webhooks"), "{}", not_ready.detail());
    let configure = world.api.post("/v1/telegram/webhooks", json!({"agentKey": "support"}));
    configure.header("host", "127.0.0.1:9").send().await.body_of(200);
    for ttl in [0, 59_999, 86_400_001] {
        let refused = world.refused(create(json!({"ttlMs": ttl}))).await;
        assert_eq!((refused.problem(), refused.pointer()), ((422, "invalid_field"), "/ttlMs"));
    }
    for ttl in [60_000, 86_400_000] {
        create(json!({"ttlMs": ttl})).send().await.body_of(201);
    }
    world.api.put("/v1/agents/support", json!({"version": "1", "enabled": false})).send().await.body_of(200);
    assert_eq!(world.refused(create(json!({}))).await.problem(), (409, "agent_disabled"));
    assert_eq!(
        world.api.get("/v1/users/bob/agents/support/pairing").send().await.problem(),
        (404, "not_found")
    );
    let malformed = world.api.get("/v1/pairing-codes/a%20b").send().await;
    assert_eq!((malformed.problem(), malformed.pointer()), ((422, "invalid_field"), "/pairingCode"));
}

#[tokio::test]
async fn a_code_of_a_disabled_agent_is_not_accepted() {
    let (world, person) = world().await;
    let first = code_for(&world, "ann").await;
    let set =
        |enabled: bool| world.api.put("/v1/agents/support", json!({"version": "1", "enabled": enabled}));
    set(false).send().await.body_of(200);
    assert_eq!(person.sends(1, "message", text(&format!("/start {first}"))).await, failed("invalid_code"));
    set(true).send().await.body_of(200);
    assert_eq!(person.sends(2, "message", text(&format!("/start {first}"))).await, paired("ann"));
}

#[tokio::test]
async fn a_repeated_call_with_an_idempotency_key_gets_the_same_code() {
    let (world, _person) = world().await;
    let create = |body: Value| world.api.post("/v1/pairing-codes", body).header("idempotency-key", "k");
    let body = json!({"consumerUserId": "ann", "agentKey": "support"});
    let first = create(body.clone()).send().await.body_of(201);
    assert_eq!(create(body).send().await.body_of(201), first);
    let other = world.refused(create(json!({"consumerUserId": "bob", "agentKey": "support"}))).await;
    assert_eq!(other.problem(), (422, "idempotency_mismatch"));
}

#[tokio::test]
pub async fn a_new_pairing_of_a_telegram_user_ends_the_binding_of_the_user_before() {
    let (world, person) = world().await;
    for (update, user) in [(1, "ann"), (2, "bob")] {
        let code = code_for(&world, user).await;
        assert_eq!(person.sends(update, "message", text(&format!("/start {code}"))).await, paired(user));
    }
    assert_eq!(world.api.get("/v1/users/ann/binding").send().await.problem(), (404, "not_found"));
    let listed = world.api.get("/v1/users/ann/bindings").send().await.body_of(200);
    assert_eq!(listed["items"][0]["status"], "revoked");
    let message = person.says(3, text("hello")).await;
    assert_eq!(world.message(&json!(message)).await["conversationId"], "user-agent:support:bob");
}

#[tokio::test]
async fn one_telegram_user_with_two_bots_reaches_two_conversations_and_a_code_works_with_its_bot_only() {
    let (world, support) = world().await;
    world.agent("sales").await;
    let telegram = support.telegram.clone();
    let sales = Person::writes_to(&world.bundle, world.api.clone(), telegram, "sales").await;
    let supports = code_for(&world, "ann").await;
    let made =
        world.api.post("/v1/users/ann-at-sales/agents/sales/pairing", json!({})).send().await.body_of(201);
    let sales_code = made["pairing"]["code"].as_str().unwrap().to_owned();
    // The code of the other bot is wrong, and it stays valid for its own bot.
    assert_eq!(
        support.sends(1, "message", text(&format!("/start {sales_code}"))).await,
        failed("invalid_code")
    );
    assert_eq!(sales.sends(1, "message", text(&format!("/start {supports}"))).await, failed("invalid_code"));
    assert_eq!(support.sends(2, "message", text(&format!("/start {supports}"))).await, paired("ann"));
    let expected = json!({"status": "used", "consumerUserId": "ann-at-sales", "agentKey": "sales"});
    assert_eq!(sales.sends(2, "message", text(&format!("/start {sales_code}"))).await["pairing"], expected);
    let mut reached = Vec::new();
    for (update, person) in [(3, &support), (3, &sales), (4, &sales), (4, &support)] {
        let message = world.message(&json!(person.says(update, text("hello")).await)).await;
        reached.push((message["agentKey"].clone(), message["conversationId"].clone()));
    }
    let at = |agent: &str, user: &str| (json!(agent), json!(format!("user-agent:{agent}:{user}")));
    let (ann, at_sales) = (at("support", "ann"), at("sales", "ann-at-sales"));
    assert_eq!(reached, [ann.clone(), at_sales.clone(), at_sales, ann]);
    // After a revoke, the person is unknown to one bot only.
    world.api.delete("/v1/users/ann/binding").send().await.body_of(204);
    let unbound = world.message(&json!(support.says(5, text("hello")).await)).await;
    assert_eq!(unbound["conversationId"], format!("telegram:{}:{CHAT}", support.bot.id));
    let bound = world.message(&json!(sales.says(5, text("hello")).await)).await;
    assert_eq!(bound["conversationId"], "user-agent:sales:ann-at-sales");
}

#[tokio::test]
async fn after_a_bot_has_moved_to_another_agent_no_message_reaches_the_agent_before() {
    let (world, person) = world().await;
    let code = code_for(&world, "ann").await;
    person.sends(1, "message", text(&format!("/start {code}"))).await;
    world.agent("sales").await;
    world.api.delete("/v1/agents/support").send().await.body_of(204);
    world.agent("support").await;
    let token = json!({"plaintextValue": person.bot.token});
    world.api.put("/v1/agents/sales/telegram-token", token).send().await.body_of(200);
    connect(&world.app, &person.bot).await;
    world.expire_caches();
    assert_eq!(person.sends(2, "message", text("/start")).await, json!({"ok": true, "known": false}));
    let message = world.message(&json!(person.says(3, text("hello")).await)).await;
    let conversation = format!("telegram:{}:{CHAT}", person.bot.id);
    assert_eq!((&message["agentKey"], &message["conversationId"]), (&json!("sales"), &json!(conversation)));
}
