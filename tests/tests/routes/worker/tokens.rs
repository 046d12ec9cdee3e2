//! Tokens: what they are signed with, and how long they are good.

use af_domain::time::Millis;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::worker::{Hands, World};

/// After this, a function that meets a token under a key it does not know reads the keys anew.
const KEYS_READ_EVERY: Millis = Millis::from_secs(2);
const KEYS_GOOD_FOR: Millis = Millis::from_secs(300);
const TOKEN_GOOD_FOR: Millis = Millis::from_days(30);

async fn rotate(world: &World, key: &str) {
    let body = json!({"plaintextValue": key});
    world.api.put("/v1/secrets/workerToken.signingKey", body).send().await.body_of(200);
}

async fn is_let_in(worker: &Hands<'_>) -> bool {
    match worker.get("skills").await.status.as_u16() {
        200 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_rotation_leaves_tokens_under_the_key_before_good_and_new_ones_are_under_the_new_key() {
    let world = World::new().await;
    let first = world.worker("first").await;
    assert!(is_let_in(&first).await);
    rotate(&world, "the-second-key").await;
    world.advance(KEYS_READ_EVERY);
    let second = world.worker("second").await;
    assert!(is_let_in(&second).await, "at once, and not when the keys in memory are old");
    assert!(is_let_in(&first).await);
    world.advance(KEYS_GOOD_FOR);
    assert!(is_let_in(&first).await && is_let_in(&second).await, "also by a function that reads them anew");

    rotate(&world, "the-third-key").await;
    world.advance(KEYS_GOOD_FOR);
    assert!(!is_let_in(&first).await, "two rotations ago");
    assert!(is_let_in(&second).await && is_let_in(&world.worker("third").await).await);
}

#[tokio::test]
async fn made_up_key_ids_have_the_keys_read_once_in_a_while_at_most() {
    let world = World::new().await;
    let worker = world.worker("w").await;
    assert!(is_let_in(&worker).await);
    rotate(&world, "the-second-key").await;
    let second = world.worker("second").await;
    assert!(!is_let_in(&second).await, "the keys were read this very moment");
    world.advance(KEYS_READ_EVERY);
    assert!(is_let_in(&second).await);
}

#[tokio::test]
async fn a_token_ends_at_its_time_and_its_worker_is_told_so_where_it_asks() {
    let world = World::new().await;
    let worker = world.worker("w").await;
    world.advance(Millis::new(TOKEN_GOOD_FOR.as_millis() - 1));
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
async fn nothing_in_a_token_can_be_changed() {
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
        let hands = Hands { world: &world, token: changed };
        assert!(!is_let_in(&hands).await, "{}", hands.token);
    }
}
