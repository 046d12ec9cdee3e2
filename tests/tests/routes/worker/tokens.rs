//! Worker tokens: their signing keys and their lifetime.

use af_domain::time::Millis;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::worker::{TestWorker, World};

/// The interval after which a function reads the keys again when it meets an unknown key id.
const KEY_READ_INTERVAL: Millis = Millis::from_secs(2);
const KEY_LIFETIME: Millis = Millis::from_secs(300);
const TOKEN_LIFETIME: Millis = Millis::from_days(30);

async fn rotate(world: &World, key: &str) {
    let body = json!({"plaintextValue": format!("{key:-<32}")});
    world.api.put("/v1/secrets/workerToken.signingKey", body).send().await.body_of(200);
}

async fn is_authorized(worker: &TestWorker<'_>) -> bool {
    match worker.get("skills").await.status.as_u16() {
        200 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn after_a_rotation_tokens_of_the_previous_key_stay_valid() {
    let world = World::new().await;
    let first = world.worker("first").await;
    assert!(is_authorized(&first).await);
    rotate(&world, "the-second-key").await;
    world.advance(KEY_READ_INTERVAL);
    let second = world.worker("second").await;
    assert!(is_authorized(&second).await, "the new key is read before the cached keys expire");
    assert!(is_authorized(&first).await);
    world.advance(KEY_LIFETIME);
    assert!(
        is_authorized(&first).await && is_authorized(&second).await,
        "also after the function has read the keys again"
    );

    rotate(&world, "the-third-key").await;
    world.advance(KEY_LIFETIME);
    assert!(!is_authorized(&first).await, "two rotations ago");
    assert!(is_authorized(&second).await && is_authorized(&world.worker("third").await).await);
}

#[tokio::test]
async fn unknown_key_ids_cause_at_most_one_read_of_the_keys_per_interval() {
    let world = World::new().await;
    let worker = world.worker("w").await;
    assert!(is_authorized(&worker).await);
    rotate(&world, "the-second-key").await;
    let second = world.worker("second").await;
    assert!(!is_authorized(&second).await, "the keys were read just before");
    world.advance(KEY_READ_INTERVAL);
    assert!(is_authorized(&second).await);
}

#[tokio::test]
async fn an_expired_token_gets_a_stop_with_the_reason_token_expired() {
    let world = World::new().await;
    let worker = world.worker("w").await;
    world.advance(Millis::new(TOKEN_LIFETIME.as_millis() - 1));
    assert_eq!(worker.get("control").await.body_of(200)["control"]["shouldStop"], false);
    world.advance(Millis::new(1));
    let stop = json!({"shouldStop": true, "reasons": ["token_expired"], "switch": false});
    assert_eq!(worker.get("control").await.body_of(200)["control"], stop);
    let polled = worker.poll(json!({})).await;
    assert_eq!((&polled["control"], &polled["job"], &polled["bundle"]), (&stop, &json!(null), &json!(null)));
    let refused = worker.get("skills").await;
    assert_eq!(refused.problem(), (401, "unauthorized"));
    assert_eq!(refused.detail(), "this worker token has expired");
}

#[tokio::test]
async fn a_token_with_any_change_is_refused() {
    let world = World::new().await;
    let token = world.worker("w").await.token;
    let (claims, signature) = token.strip_prefix("afw_").unwrap().split_once('.').unwrap();
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let parts: Vec<&str> = claims.split('|').collect();
    let [key, worker, expires_at] = parts[..] else { panic!("{claims}") };
    assert_eq!(worker, "w");
    let later = (expires_at.parse::<u64>().unwrap() + 1).to_string();
    let signed = |claims: String| format!("afw_{}.{signature}", URL_SAFE_NO_PAD.encode(claims));
    for changed in [
        signed(format!("{key}|other|{expires_at}")),
        signed(format!("{key}|w|{later}")),
        signed(format!("{key}|w")),
        signed(format!("|w|{expires_at}")),
        signed(format!("{key}|w|{expires_at}")) + "A",
        token[..token.len() - 4].to_owned(),
        token.replacen("afw_", "afk_", 1),
    ] {
        let worker = TestWorker { world: &world, token: changed };
        assert!(!is_authorized(&worker).await, "{}", worker.token);
    }
}
