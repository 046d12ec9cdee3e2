//! Links that are not made, taps that fit no link, and bots that are not connected.

use af_domain::time::Millis;
use af_emulator_telegram::Fault;
use serde_json::{Value, json};

use super::{Managed, PATH, PERSON};

#[tokio::test]
async fn a_tap_that_fits_no_pending_link_of_the_manager_writes_nothing() {
    let managed = Managed::new().await;
    let old = managed.link(json!({})).await;
    let new = managed.link(json!({"ttlMs": 60_000})).await;
    let before = managed.world.items().await;
    let tap = |link: &Value, user: i64, username: Option<&str>| {
        managed.control(
            "/telegram/managed-bots",
            json!({"link": link["link"], "userId": user, "username": username}),
        )
    };
    let (_, replaced) = tap(&old, PERSON, None).await;
    assert_eq!(replaced["body"]["ignored"], "bot_link_expired", "{replaced}");
    let (_, foreign) = tap(&new, 7, Some("foreign_bot")).await;
    assert_eq!(foreign["body"]["ignored"], "no_bot_link", "{foreign}");
    managed.world.advance(Millis::from_secs(60));
    let (_, late) = tap(&new, PERSON, None).await;
    assert_eq!(late["body"]["ignored"], "bot_link_expired", "{late}");
    assert_eq!(managed.shown().await["status"], "expired");
    assert_eq!(managed.next_action().await, "import_token");
    // The bot of another agent reports a bot with the name of a link.
    let fresh = managed.link(json!({})).await;
    let other = managed.connected_bot_of("sales").await;
    let count = managed.world.items().await.len();
    let raw = json!({"botIdentity": other, "raw": {"managed_bot": {"user": {"id": 7}, "bot": {"id": 77,
        "username": fresh["suggestedUsername"]}}}});
    let (_, of_another) = managed.control("/telegram/messages", raw).await;
    assert_eq!(of_another["body"]["ignored"], "no_bot_link", "{of_another}");
    assert_eq!(managed.world.items().await.len(), count);
    let kept = managed.world.items().await;
    assert!(
        before
            .iter()
            .filter(|item| item["pk"]["S"].as_str().unwrap().starts_with("BL#"))
            .all(|item| kept.contains(item))
    );
}

#[tokio::test]
async fn a_link_names_what_the_manager_bot_lacks() {
    let managed = Managed::new().await;
    let refused = async |code: (u16, &str), words: &str| {
        let answer = managed.world.refused(managed.post(PATH, json!({}))).await;
        assert_eq!(answer.problem(), code);
        assert!(answer.detail().contains(words), "{}", answer.detail());
        let readiness =
            managed.world.api.get("/v1/users/ann/agents/support/readiness").send().await.body_of(200);
        readiness["issues"].to_string()
    };
    managed.configure(json!({})).await;
    let issues = refused((409, "not_configured"), "managerAgentKey").await;
    assert!(issues.contains("managerAgentKey"), "{issues}");
    managed.configure(json!({"managerAgentKey": "absent"})).await;
    refused((409, "not_configured"), "the manager agent absent has no bot").await;
    managed.configure(json!({"managerAgentKey": "sales"})).await;
    let other = managed.connected_bot_of("sales").await;
    let issues = refused((409, "not_configured"), "Bot Management Mode").await;
    assert!(issues.contains("Or make a link"), "{issues}");
    managed.telegram.let_manage(other).unwrap();
    managed.link(json!({})).await;
    managed.telegram.fault("getMe", &Fault::new(502, "Bad Gateway"), 1);
    assert_eq!(managed.post(PATH, json!({})).send().await.problem(), (503, "unavailable"));
    managed.telegram.fault("getMe", &Fault::new(401, "Unauthorized"), 1);
    refused((409, "not_configured"), "refuses the token").await;
}

#[tokio::test]
async fn an_invalid_link_is_refused_and_a_repeated_call_gets_the_same_link() {
    let managed = Managed::new().await;
    let long = "x".repeat(65);
    for (body, pointer) in [
        (json!({"name": " "}), "/name"),
        (json!({"name": long}), "/name"),
        (json!({"name": "a\nb"}), "/name"),
        (json!({"ttlMs": 59_999}), "/ttlMs"),
        (json!({"colour": 1}), "/colour"),
    ] {
        let answer = managed.world.refused(managed.post(PATH, body)).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer));
    }
    let unknown = managed.post("/v1/users/ann/agents/unknown/managed-bot", json!({}));
    assert_eq!(managed.world.refused(unknown).await.problem(), (404, "not_found"));
    let of_manager = managed.post("/v1/users/ann/agents/manager/managed-bot", json!({"replace": true}));
    assert_eq!(managed.world.refused(of_manager).await.problem(), (409, "bot_conflict"));
    assert_eq!(managed.world.api.get(PATH).send().await.problem(), (404, "not_found"));
    let once = || managed.post(PATH, json!({"name": "Ann"})).header("idempotency-key", "k");
    let first = once().send().await.body_of(201);
    assert_eq!(once().send().await.body_of(201), first);
    let other = managed.post(PATH, json!({"name": "Bob"})).header("idempotency-key", "k").send().await;
    assert_eq!(other.problem(), (422, "idempotency_mismatch"));
}

#[tokio::test]
async fn a_bot_for_an_agent_that_has_another_bot_is_not_connected() {
    let managed = Managed::new().await;
    let link = managed.link(json!({})).await;
    managed.connected_bot_of("support").await;
    let tapped = managed.tap(&link).await;
    managed.schedule().await;
    let shown = managed.shown().await;
    assert_eq!(shown["status"], "failed");
    assert!(shown["reason"].as_str().unwrap().contains("has another bot"), "{shown}");
    assert_eq!(managed.world.api.get("/v1/users/ann/binding").send().await.problem(), (404, "not_found"));
    let refused = managed.world.refused(managed.post(PATH, json!({}))).await;
    assert_eq!(refused.problem(), (409, "bot_conflict"));
    let link = managed.link(json!({"replace": true})).await;
    let second = managed.tap(&link).await;
    managed.schedule().await;
    assert_eq!(managed.shown().await["status"], "connected");
    assert_ne!(second["botIdentity"], tapped["botIdentity"]);
    managed.is_answered(&second["botIdentity"], "hello").await;
}

#[tokio::test]
async fn a_bot_that_another_agent_has_by_now_is_not_connected() {
    let managed = Managed::new().await;
    managed.world.agent("sales").await;
    let tapped = managed.tap(&managed.link(json!({})).await).await;
    let token = json!({"plaintextValue": managed.token_of(&tapped["botIdentity"])});
    managed.world.api.put("/v1/agents/sales/telegram-token", token).send().await.body_of(200);
    managed.schedule().await;
    let shown = managed.shown().await;
    assert_eq!(shown["status"], "failed");
    assert!(shown["reason"].as_str().unwrap().contains("belongs to agent sales"), "{shown}");
    assert_eq!(managed.next_action().await, "import_token");
}

#[tokio::test]
async fn a_bot_that_waits_for_its_connection_ends_no_list_of_outboxes() {
    let managed = Managed::new().await;
    managed.tap(&managed.link(json!({})).await).await;
    managed.world.advance(Millis::from_secs(1));
    let bot = managed.connected_bot_of("sales").await;
    for chat in [1, 2] {
        let start = json!({"botIdentity": bot, "chatId": chat, "text": "/start"});
        managed.control("/telegram/messages", start).await;
    }
    let (mut found, mut cursor) = (0, None);
    for _ in 0..5 {
        let after = cursor.map(|cursor: String| format!("&cursor={cursor}")).unwrap_or_default();
        let page = managed.world.api.get(&format!("/v1/outbox?limit=1{after}")).send().await.body_of(200);
        found += page["items"].as_array().unwrap().len();
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((found, cursor), (2, None));
}
