//! Onboarding of a user on Telegram, and what an agent still needs.

use af_domain::time::Millis;
use af_tests::telegram::{CHAT, with_telegram};
use serde_json::{Value, json};

use crate::api::World;

#[tokio::test]
pub async fn onboarding_names_the_next_step_until_the_person_can_chat() {
    let (bundle, telegram) = with_telegram().await;
    let world = World::over(bundle).await;
    let key = world.api.new_key(&["app"]).await;
    let state = async |expected: &str| {
        let path = "/v1/users/ann/agents/support/onboarding";
        let shown = world.api.get(path).key(&key).send().await.body_of(200);
        assert_eq!(shown["nextAction"], expected, "{shown}");
        assert!(shown["nextStep"].as_str().is_some_and(|step| !step.is_empty()));
        shown
    };
    let enabled =
        |enabled: bool| world.api.put("/v1/agents/support", json!({"version": "1", "enabled": enabled}));
    enabled(false).send().await.body_of(200);
    state("configure_agent").await;
    enabled(true).send().await.body_of(200);
    let shown = state("import_token").await;
    let expected = json!({
        "agentKey": "support", "tokenSecretRef": "telegram.botToken.support", "tokenImported": false,
        "webhookReady": false, "nextAction": "import_token", "nextStep": shown["nextStep"],
    });
    assert_eq!(shown, expected);

    let bot = telegram.add_bot(None, Some("support_bot")).unwrap();
    let path = "/v1/users/ann/agents/support/telegram-token";
    let imported =
        world.api.put(path, json!({"plaintextValue": bot.token})).key(&key).send().await.body_of(200);
    assert_eq!(imported, json!({"botIdentity": bot.id.to_string(), "username": "support_bot"}));
    state("configure_webhook").await;
    let configure = world.api.post("/v1/telegram/webhooks", json!({"agentKey": "support"})).key(&key);
    assert_eq!(configure.header("host", "127.0.0.1:9").send().await.body_of(200)["isReady"], true);
    state("create_pairing").await;
    let create = || world.api.post("/v1/users/ann/agents/support/pairing", json!({})).key(&key);
    create().send().await.body_of(201);
    let shown = state("complete_pairing").await;
    assert_eq!(
        (&shown["pairingStatus"], &shown["telegramUsername"]),
        (&json!("pending"), &json!("support_bot"))
    );
    let code = shown["pairingCode"].as_str().unwrap();
    assert_eq!(shown["pairingDeepLink"], format!("https://t.me/support_bot?start={code}"));
    world.advance(Millis::from_secs(15 * 60));
    let shown = state("create_pairing").await;
    assert_eq!((&shown["pairingStatus"], &shown["pairingDeepLink"]), (&json!("expired"), &Value::Null));

    let telegram =
        json!({"botIdentity": bot.id.to_string(), "userId": CHAT.to_string(), "chatId": CHAT.to_string()});
    let bind = world.api.put("/v1/users/ann/binding", json!({"agentKey": "support", "telegram": telegram}));
    bind.key(&key).send().await.body_of(200);
    state("ready").await;
    enabled(false).send().await.body_of(200);
    state("configure_agent").await;
    enabled(true).send().await.body_of(200);
    world.api.delete("/v1/users/ann/binding").key(&key).send().await.body_of(204);
    state("create_pairing").await;
    let unknown = world.api.get("/v1/users/ann/agents/unknown/onboarding").send().await.body_of(200);
    assert_eq!(unknown["nextAction"], "configure_agent");
}

#[tokio::test]
async fn onboarding_of_one_user_is_not_that_of_another() {
    let (bundle, telegram) = with_telegram().await;
    let world = World::over(bundle).await;
    let bot = telegram.add_bot(None, None).unwrap();
    let token = json!({"plaintextValue": bot.token});
    world.api.put("/v1/agents/support/telegram-token", token).send().await.body_of(200);
    let configure = world.api.post("/v1/telegram/webhooks", json!({"agentKey": "support"}));
    configure.header("host", "127.0.0.1:9").send().await.body_of(200);
    world.api.post("/v1/users/ann/agents/support/pairing", json!({})).send().await.body_of(201);
    let bobs = world.api.get("/v1/users/bob/agents/support/onboarding").send().await.body_of(200);
    assert_eq!((&bobs["nextAction"], &bobs["pairingCode"]), (&json!("create_pairing"), &Value::Null));
}

#[tokio::test]
pub async fn readiness_and_required_secrets_name_what_is_missing() {
    let (bundle, telegram) = with_telegram().await;
    let world = World::over(bundle).await;
    let readiness =
        async || world.api.get("/v1/users/ann/agents/support/readiness").send().await.body_of(200);
    let profile = json!({
        "version": "1", "secretsRef": ["crm.key"],
        "bridgeConfig": {"enabled": true, "serviceKeySecretRef": "crm.service-key"},
    });
    world.api.put("/v1/agents/support", profile).send().await.body_of(200);
    let shown = readiness().await;
    assert_eq!(shown["missingSecrets"], json!(["crm.key", "crm.service-key"]));
    for name in ["hasTelegramToken", "webhookReady", "providerConfigPresent", "messageConfigPresent"] {
        assert_eq!(shown[name], false, "{name}");
    }
    assert_eq!(shown["issues"].as_array().unwrap().len(), 5, "{shown}");

    let bot = telegram.add_bot(None, None).unwrap();
    let token = json!({"plaintextValue": bot.token});
    world.api.put("/v1/agents/support/telegram-token", token).send().await.body_of(200);
    let configure = world.api.post("/v1/telegram/webhooks", json!({"agentKey": "support"}));
    configure.header("host", "127.0.0.1:9").send().await.body_of(200);
    world.api.put("/v1/secrets/crm.key", json!({"plaintextValue": "v"})).send().await.body_of(200);
    world.api.put("/v1/config/message", json!({"systemPrompt": "Be kind."})).send().await.body_of(200);
    let shown = readiness().await;
    assert_eq!(shown["missingSecrets"], json!(["crm.service-key"]));
    for name in ["hasTelegramToken", "webhookReady", "messageConfigPresent"] {
        assert_eq!(shown[name], true, "{name}");
    }
    let required = world.api.get("/v1/agents/support/required-secrets").send().await.body_of(200);
    let names: Vec<_> = required["items"].as_array().unwrap().iter().map(|s| &s["secretRef"]).collect();
    assert_eq!(names, ["crm.key", "telegram.botToken.support", "crm.service-key"]);
    assert_eq!(required["missing"], json!(["crm.service-key"]));
    for path in ["/v1/users/ann/agents/unknown/readiness", "/v1/agents/unknown/required-secrets"] {
        assert_eq!(world.api.get(path).send().await.problem(), (404, "not_found"));
    }
}
