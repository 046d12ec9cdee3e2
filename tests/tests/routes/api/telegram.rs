use af_emulator_telegram::{EmulatedBot, Fault, TelegramEmulator};
use af_tests::calls::Call;
use serde_json::{Value, json};

use crate::api::World;

/// A deployment whose Bot API is the Telegram emulator, on loopback.
async fn with_telegram() -> (World, TelegramEmulator) {
    let (bundle, telegram) = af_tests::telegram::with_telegram().await;
    (World::over(bundle).await, telegram)
}

fn token_of(bot: &EmulatedBot) -> Value {
    json!({"plaintextValue": bot.token})
}

/// The emulator accepts webhooks on loopback only, so the call has such a host. Nothing listens on that port.
fn configure(world: &World) -> Call {
    world.api.post("/v1/telegram/webhooks", json!({"agentKey": "support"})).header("host", "127.0.0.1:9")
}

const TOKEN: &str = "/v1/agents/support/telegram-token";

#[tokio::test]
async fn an_agent_gets_a_bot_and_the_bot_gets_a_webhook() {
    let (world, telegram) = with_telegram().await;
    let bot = telegram.add_bot(None, Some("support_bot")).unwrap();
    let answer = world.api.put(TOKEN, token_of(&bot)).send().await.body_of(200);
    let named = json!({"botIdentity": bot.id.to_string(), "username": "support_bot"});
    assert_eq!(answer, named);
    let agent = world.api.get("/v1/agents/support").send().await.body_of(200);
    assert_eq!((&agent["bot"], &agent["secretsRef"]), (&named, &json!(["telegram.botToken.support"])));

    let names = (0..50).map(|n| format!("s{n}")).chain(["telegram.botToken.support".to_owned()]);
    let names: Vec<_> = names.collect();
    let full = world.api.put("/v1/agents/support", json!({"version": "1", "secretsRef": names}));
    assert_eq!(
        full.send().await.body_of(200)["secretsRef"],
        json!(names),
        "the secret ref of the bot does not count for the limit of fifty"
    );
    let webhook = configure(&world).send().await.body_of(200);
    let url = format!("http://127.0.0.1:9/agent-factory/telegram/webhook/{}", bot.id);
    let expected = json!({
        "ok": true, "webhookUrl": url, "currentUrl": url, "botIdentity": bot.id.to_string(), "isReady": true,
        "pendingUpdateCount": 0, "lastErrorMessage": null, "lastErrorDate": null,
    });
    assert_eq!(webhook, expected);
    let everything = format!("{:?}", world.items().await);
    assert!(!everything.contains(&bot.token) && !agent.to_string().contains(&bot.token));
}

#[tokio::test]
async fn a_bot_belongs_to_one_agent_and_is_only_replaced_on_request() {
    let (world, telegram) = with_telegram().await;
    let (first, second) = (telegram.add_bot(None, None).unwrap(), telegram.add_bot(None, None).unwrap());
    world.agent("sales").await;
    world.api.put(TOKEN, token_of(&first)).send().await.body_of(200);
    let taken = world.refused(world.api.put("/v1/agents/sales/telegram-token", token_of(&first))).await;
    assert_eq!(taken.problem(), (409, "bot_conflict"));
    let other = world.refused(world.api.put(TOKEN, token_of(&second))).await;
    assert_eq!(other.problem(), (409, "bot_conflict"));
    let replace = json!({"plaintextValue": second.token, "replace": true});
    let answer = world.api.put(TOKEN, replace).send().await.body_of(200);
    assert_eq!(answer["botIdentity"], second.id.to_string());
    world.api.put("/v1/agents/sales/telegram-token", token_of(&first)).send().await.body_of(200);
}

#[tokio::test]
async fn an_invalid_bot_token_is_refused_and_not_shown() {
    let (world, _telegram) = with_telegram().await;
    let unknown = "7000000001:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for token in ["nonsense", unknown] {
        let answer = world.refused(world.api.put(TOKEN, json!({"plaintextValue": token}))).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/plaintextValue"));
        assert!(!answer.body.to_string().contains(token));
    }
    let unknown_agent = world
        .refused(world.api.put("/v1/agents/unknown/telegram-token", json!({"plaintextValue": unknown})))
        .await;
    assert_eq!(unknown_agent.problem(), (404, "not_found"));
}

#[tokio::test]
async fn a_webhook_that_cannot_be_set_is_an_error_with_its_reason() {
    let (world, telegram) = with_telegram().await;
    let configure = || configure(&world);
    assert_eq!(world.refused(configure()).await.problem(), (409, "not_configured"));
    let bot = telegram.add_bot(None, None).unwrap();
    world.api.put(TOKEN, token_of(&bot)).send().await.body_of(200);
    telegram.fault("setWebhook", &Fault::new(400, "Bad Request: bad webhook"), 1);
    let refused = configure().send().await;
    assert_eq!(refused.problem(), (409, "conflict"));
    assert!(refused.detail().contains("bad webhook"), "{}", refused.detail());
    telegram.fault("setWebhook", &Fault::new(502, "Bad Gateway"), 1);
    let unavailable = configure().send().await;
    assert_eq!(unavailable.problem(), (503, "unavailable"));
    assert_eq!(unavailable.headers["retry-after"], "10");
    assert_eq!(configure().send().await.body_of(200)["ok"], true);
}

#[tokio::test]
async fn an_unreachable_telegram_is_reported_as_unavailable() {
    let world = World::new().await;
    let token = json!({"plaintextValue": "7000000001:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"});
    let answer = world.api.put(TOKEN, token).send().await;
    assert_eq!(answer.problem(), (503, "unavailable"));
}

#[tokio::test]
async fn a_user_is_bound_right_after_the_bot_was_set_and_is_answered_in_the_chat() {
    let (world, telegram) = with_telegram().await;
    let bot = telegram.add_bot(None, None).unwrap();
    world.api.get("/v1/agents/support").send().await.body_of(200);
    world.bind("bob", "support").await;
    world.api.put(TOKEN, token_of(&bot)).send().await.body_of(200);
    // Right after the bot: the functions' copies of the profile do not have it yet.
    let identity = json!({"botIdentity": bot.id.to_string(), "userId": "42", "chatId": "42"});
    let binding = json!({"agentKey": "support", "telegram": identity});
    let bound = world.api.put("/v1/users/ann/binding", binding).send().await.body_of(200);
    assert_eq!((&bound["botIdentity"], &bound["telegramChatId"]), (&json!(bot.id.to_string()), &json!("42")));
    world.say("ann", "hello").await;
    let worker = world.worker("w").await;
    let payload = world.poll(&worker, json!({})).await["job"]["payload"].clone();
    assert_eq!((&payload["provider"], &payload["providerUserId"]), (&json!("telegram"), &json!("42")));
    assert_eq!(payload["metadata"], json!({"consumerUserId": "ann", "providerUserId": "42"}));
}

#[tokio::test]
async fn a_webhook_path_with_bad_utf_8_answers_a_problem() {
    let world = World::new().await;
    for bot in ["%FF", "1%C3", "%ED%A0%BD"] {
        let path = format!("/agent-factory/telegram/webhook/{bot}");
        let refused = world.api.post(&path, json!({"update_id": 1})).anonymous().send().await;
        assert_eq!(refused.problem(), (400, "malformed_request"), "{bot}");
        assert!(refused.detail().contains("UTF-8"), "{}", refused.detail());
    }
}

#[tokio::test]
async fn a_webhook_without_a_bot_in_its_path_names_the_path_to_use() {
    let world = World::new().await;
    let refused = world.api.post("/agent-factory/telegram/webhook", json!({"update_id": 1})).anonymous();
    let refused = world.refused(refused).await;
    assert_eq!(refused.problem(), (404, "not_found"));
    assert!(
        refused.detail().contains("/agent-factory/telegram/webhook/{botIdentity}"),
        "{}",
        refused.detail()
    );
    assert!(refused.detail().contains("POST /v1/telegram/webhooks"), "{}", refused.detail());
    let other = world.refused(world.api.post("/other/telegram/webhook", json!({})).anonymous()).await;
    assert_eq!(other.detail(), "there is no such route");
}
