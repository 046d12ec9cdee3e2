//! Calls that fail or die while they connect a managed bot, or replace its token.

use std::sync::Arc;

use af_app::App;
use af_app::telegram::managed_bots::connect_due;
use af_domain::time::Millis;
use af_emulator_telegram::Fault;
use af_tests::steps::{End, Steps};
use aws_smithy_types::retry::RetryConfig;
use serde_json::json;

use super::{Managed, PAST_A_WAIT, PERSON, ROTATE};

#[tokio::test]
async fn a_bot_is_connected_once_when_each_step_fails_before_or_after_its_effect() {
    let managed = Managed::new().await;
    let tapped = managed.tap(&managed.link(json!({})).await).await;
    let methods = ["getManagedBotToken", "getMe", "setWebhook", "getWebhookInfo"];
    for method in methods {
        for fault in [Fault::new(502, "Bad Gateway"), Fault::answer_lost()] {
            managed.telegram.fault(method, &fault, 1);
            managed.schedule().await;
            assert_eq!(managed.shown().await["status"], "connecting", "{method}");
            managed.world.advance(PAST_A_WAIT);
        }
    }
    managed.schedule().await;
    assert_eq!(managed.shown().await["status"], "connected");
    let bindings = managed.world.api.get("/v1/users/ann/bindings").send().await.body_of(200);
    assert_eq!(bindings["items"].as_array().unwrap().len(), 1);
    managed.is_answered(&tapped["botIdentity"], "hello").await;
}

/// Taps a link, connects the bot in a function that takes these steps, and then as the schedule does.
async fn connected_after(steps: &Arc<Steps>) -> Managed {
    let managed = Managed::new().await;
    let tapped = managed.tap(&managed.link(json!({})).await).await;
    let mut boot = managed.world.bundle.boot("effects");
    boot.sdk =
        managed.world.bundle.aws.clone().with_faults(steps.clone()).sdk_config(RetryConfig::disabled());
    let function = App::from_boot(&boot).unwrap();
    let bot = tapped["botIdentity"].as_str().unwrap().parse().unwrap();
    steps.run(Box::pin(connect_due(&function, vec![bot]))).await;
    for _ in 0..3 {
        managed.world.advance(PAST_A_WAIT);
        managed.schedule().await;
    }
    let sent = json!({"botIdentity": tapped["botIdentity"], "chatId": PERSON, "text": "hello"});
    let (_, sent) = managed.control("/telegram/messages", sent).await;
    assert!(sent["body"]["messageId"].is_string(), "the webhook has the secret that Telegram sends: {sent}");
    managed
}

#[tokio::test]
async fn the_call_that_connects_a_bot_may_die_at_any_step() {
    let undisturbed = Arc::new(Steps::default());
    connected_after(&undisturbed).await;
    let mut crashes = 0;
    for (n, changes) in undisturbed.taken().iter().enumerate() {
        let ends = if *changes { &[End::DiesBefore, End::DiesAfter][..] } else { &[End::DiesBefore][..] };
        for end in ends {
            let managed = connected_after(&Arc::new(Steps::ending(n, *end))).await;
            let bindings = managed.world.api.get("/v1/users/ann/bindings").send().await.body_of(200);
            let count = bindings["items"].as_array().unwrap().len();
            let status = managed.shown().await["status"].clone();
            assert_eq!((count, status), (1, json!("connected")), "{end:?} step {n}");
            crashes += 1;
        }
    }
    assert!(crashes > 15, "{crashes} crashes");
}

#[tokio::test]
async fn a_bot_whose_worker_has_died_is_connected_after_a_minute() {
    let managed = Managed::new().await;
    let tapped = managed.tap(&managed.link(json!({})).await).await;
    let identity = tapped["botIdentity"].as_str().unwrap().parse().unwrap();
    let now = managed.effects.now();
    let bot = managed.effects.store.managed_bot(&identity, now).await.unwrap().unwrap();
    let begun = bot.worked_on_by("dead", now);
    managed.effects.store.change_managed_bot_if_unchanged(&bot, &begun, now).await.unwrap();
    managed.schedule().await;
    assert_eq!(managed.shown().await["status"], "connecting", "another call works on it");
    managed.world.advance(Millis::from_secs(60));
    managed.schedule().await;
    assert_eq!(managed.shown().await["status"], "connected");
}

#[tokio::test]
async fn a_token_whose_replacement_was_not_answered_is_fetched() {
    let managed = Managed::new().await;
    let tapped = managed.connected().await;
    let bot = &tapped["botIdentity"];
    let before = managed.token_of(bot);
    managed.telegram.fault("replaceManagedBotToken", &Fault::answer_lost(), 1);
    let answer = managed.post(ROTATE, json!({})).send().await;
    assert_eq!(answer.problem(), (503, "unavailable"));
    assert_ne!(before, managed.token_of(bot));
    managed.world.advance(PAST_A_WAIT);
    managed.schedule().await;
    managed.is_answered(bot, "hello").await;
}
