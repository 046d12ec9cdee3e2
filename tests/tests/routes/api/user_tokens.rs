//! User tokens, and the company of an API key.

use af_domain::time::Millis;
use af_tests::calls::Call;
use http::Method;
use serde_json::{Value, json};

use crate::api::World;

async fn token(world: &World, key: &str, user: &str, ttl: u64) -> String {
    let path = format!("/v1/users/{user}/tokens");
    let made = world.api.post(&path, json!({"ttlSeconds": ttl})).key(key).send().await.body_of(201);
    let expires_at = af_runtime::clock::Clock::now(&world.bundle.clock) + Millis::from_secs(ttl);
    assert_eq!((&made["consumerUserId"], &made["expiresAt"]), (&json!(user), &json!(expires_at.as_millis())));
    made["token"].as_str().unwrap().to_owned()
}

/// The calls of a user, with the status that each has for its own user.
fn calls(world: &World, user: &str) -> Vec<(Call, u16)> {
    let call = |method: Method, path: &str, body: Value| {
        world.api.call(method, &format!("/v1/users/{user}/{path}")).json(&body)
    };
    let get = |path: &str| call(Method::GET, path, Value::Null);
    vec![
        (get("agents"), 200),
        (get("agents/support"), 200),
        (get("active-agent"), 200),
        (get("overview"), 200),
        (get("bindings"), 200),
        (get("binding"), 200),
        (get("agents/support/queue"), 200),
        (get("agents/support/conversation"), 200),
        (get("agents/support/events"), 200),
        (get("agents/support/snapshots"), 200),
        (get("agents/support/onboarding"), 200),
        (get("agents/support/readiness"), 200),
        (get("agents/support/pairing"), 404),
        (get("messages/m"), 404),
        (call(Method::POST, "agents/support/messages", json!({"content": "hello"})), 202),
        (call(Method::DELETE, "messages/m", Value::Null), 404),
        (call(Method::PUT, "binding", json!({"agentKey": "support"})), 200),
    ]
}

#[tokio::test]
pub async fn a_user_token_opens_the_routes_of_its_user_only() {
    let world = World::new().await;
    let key = world.api.new_key(&["app"]).await;
    world.bind("ann", "support").await;
    world.bind("bob", "support").await;
    let token = token(&world, &key, "ann", 3_600).await;
    for (call, status) in calls(&world, "ann") {
        let answer = call.key(&token).send().await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    }
    for (call, _) in calls(&world, "bob") {
        let answer = world.refused(call.key(&token)).await;
        assert_eq!(answer.problem(), (403, "forbidden"));
    }
    let stream = world.api.get("/v1/users/bob/agents/support/stream").key(&token).send().await;
    assert_eq!(stream.problem(), (403, "forbidden"));
    for (method, path) in [
        ("GET", "/v1/pairing-codes/ABCD"),
        ("POST", "/v1/pairing-codes"),
        ("POST", "/v1/users/ann/tokens"),
        ("PUT", "/v1/users/ann/agents/support/telegram-token"),
    ] {
        let call = world.api.call(method.parse().unwrap(), path).json(&json!({})).key(&token);
        assert_eq!(world.refused(call).await.problem(), (403, "forbidden"), "{method} {path}");
    }
    for path in ["/v1/agents", "/v1/messages/m", "/v1/keys"] {
        let answer = world.api.get(path).key(&token).send().await;
        assert_eq!(answer.problem(), (401, "unauthorized"), "{path}: an operator's route");
    }
}

#[tokio::test]
async fn a_user_token_binds_no_telegram_account() {
    let world = World::new().await;
    let key = world.api.new_key(&["app"]).await;
    let token = token(&world, &key, "ann", 60).await;
    let telegram = json!({"botIdentity": "7", "chatId": "42"});
    let bind = world.api.put("/v1/users/ann/binding", json!({"agentKey": "support", "telegram": telegram}));
    assert_eq!(world.refused(bind.key(&token)).await.problem(), (403, "forbidden"));
}

#[tokio::test]
async fn a_user_token_ends_with_its_validity_and_with_its_key() {
    let world = World::new().await;
    let made =
        world.api.post("/v1/keys", json!({"name": "app", "scopes": ["app"]})).send().await.body_of(201);
    let key = made["key"].as_str().unwrap();
    let (short, long) = (token(&world, key, "ann", 60).await, token(&world, key, "ann", 3_600).await);
    let of_admin = token(&world, &world.bundle.admin_key(), "ann", 3_600).await;
    let status =
        async |token: &str| world.api.get("/v1/users/ann/agents").key(token).send().await.status.as_u16();
    assert_eq!([status(&short).await, status(&long).await, status(&of_admin).await], [200, 200, 200]);
    world.advance(Millis::from_secs(60));
    assert_eq!([status(&short).await, status(&long).await], [401, 200]);
    world.api.delete(&format!("/v1/keys/{}", made["keyId"].as_str().unwrap())).send().await.body_of(204);
    world.expire_caches();
    assert_eq!([status(&long).await, status(&of_admin).await], [401, 200]);
}

#[tokio::test]
async fn a_changed_or_foreign_user_token_is_unauthorized() {
    let world = World::new().await;
    let valid = token(&world, &world.bundle.admin_key(), "ann", 60).await;
    let worker = world.worker("w").await;
    let (claims, signature) = valid.strip_prefix("afu_").unwrap().split_once('.').unwrap();
    let as_user = worker.replace("afw_", "afu_");
    let texts = [
        "afu_".to_owned(),
        "afu_x".to_owned(),
        format!("afu_{claims}.{}", &signature[1..]),
        format!("afu_{}.{signature}", &claims[1..]),
        as_user,
        valid.replace("afu_", "afw_"),
    ];
    for text in texts {
        let answer = world.api.get("/v1/users/ann/agents").key(&text).send().await;
        assert_eq!(answer.problem(), (401, "unauthorized"), "{text}");
    }
}

#[tokio::test]
async fn an_invalid_validity_is_refused() {
    let world = World::new().await;
    for ttl in [json!(0), json!(3_601), json!(-1), json!("60")] {
        let call = world.api.post("/v1/users/ann/tokens", json!({"ttlSeconds": ttl}));
        let answer = world.refused(call).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/ttlSeconds"), "{ttl}");
    }
    let made = world.api.post("/v1/users/ann/tokens", json!({})).send().await.body_of(201);
    assert_eq!(made["expiresAt"], af_tests::bundle::START.as_millis() + 900_000);
}

#[tokio::test]
async fn the_idempotency_keys_of_a_user_are_its_own() {
    let world = World::new().await;
    let key = world.api.new_key(&["app"]).await;
    for user in ["ann", "bob"] {
        world.bind(user, "support").await;
    }
    let mut ids = Vec::new();
    for (user, content) in [("ann", "one"), ("bob", "two"), ("ann", "one")] {
        let token = token(&world, &key, user, 60).await;
        let path = format!("/v1/users/{user}/agents/support/messages");
        let call =
            world.api.post(&path, json!({"content": content})).key(&token).header("idempotency-key", "k");
        ids.push(call.send().await.body_of(202)["messageId"].clone());
    }
    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_key_shows_the_company_to_which_it_is_bound() {
    let world = World::new().await;
    let body = json!({"name": "acme", "scopes": ["app"], "companyId": "acme"});
    let made =
        world.api.post("/v1/keys", body.clone()).header("idempotency-key", "k").send().await.body_of(201);
    assert_eq!(made["companyId"], "acme");
    let listed = world.api.get("/v1/keys").send().await.body_of(200);
    assert_eq!(listed["items"][0]["companyId"], "acme");
    let again = world.api.post("/v1/keys", body).header("idempotency-key", "k").send().await.body_of(201);
    assert_eq!(again, made);
    let other = json!({"name": "acme", "scopes": ["app"]});
    let other = world.refused(world.api.post("/v1/keys", other).header("idempotency-key", "k")).await;
    assert_eq!(other.problem(), (422, "idempotency_mismatch"));
    let invalid = json!({"name": "acme", "scopes": ["app"], "companyId": "a b"});
    let invalid = world.refused(world.api.post("/v1/keys", invalid)).await;
    assert_eq!((invalid.problem(), invalid.pointer()), ((422, "invalid_field"), "/companyId"));
}
