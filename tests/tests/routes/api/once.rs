//! Calls with an idempotency key that create a worker or an API key and return a secret.

use af_domain::time::Millis;
use af_tests::calls::{Answer, Call};
use serde_json::{Value, json};

use crate::api::World;

const DAY: Millis = Millis::from_days(1);

fn keyed(world: &World, path: &str, body: Value) -> Call {
    world.api.post(path, body).header("idempotency-key", "first")
}

async fn register(world: &World, body: Value) -> Answer {
    keyed(world, "/v1/workers", body).send().await
}

async fn make_key(world: &World, name: &str) -> Answer {
    keyed(world, "/v1/keys", json!({"name": name, "scopes": ["read", "app"]})).send().await
}

#[tokio::test]
async fn a_repeated_registration_makes_one_worker_and_returns_its_token_again() {
    for body in [json!({"workerId": "w-1"}), json!({"workerId": "w-1", "conversationId": "c"})] {
        let world = World::new().await;
        world.enqueue("c", "hello").await;
        let first = register(&world, body.clone()).await.body_of(201);
        let items = world.items().await;
        world.bundle.clock.advance(Millis::from_secs(3_600));
        assert_eq!(register(&world, body).await.body_of(201), first);
        assert_eq!(world.items().await, items);
        assert!(!format!("{items:?}").contains(first["token"].as_str().unwrap()));
    }
}

#[tokio::test]
async fn concurrent_calls_with_one_idempotency_key_have_one_effect_and_one_response() {
    for body in [json!({"workerId": "w-1"}), json!({"workerId": "w-1", "conversationId": "c"})] {
        let world = World::new().await;
        world.enqueue("c", "hello").await;
        let (one, other) = tokio::join!(register(&world, body.clone()), register(&world, body));
        assert_eq!(one.body_of(201), other.body_of(201));
    }
    let world = World::new().await;
    let (one, other) = tokio::join!(make_key(&world, "n"), make_key(&world, "n"));
    assert_eq!(one.body_of(201), other.body_of(201));
    assert_eq!(world.api.get("/v1/keys").send().await.body_of(200)["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_repeated_creation_makes_one_key_and_returns_it_although_only_its_hash_is_stored() {
    let world = World::new().await;
    let first = make_key(&world, "n").await.body_of(201);
    let key = first["key"].as_str().unwrap();
    world.api.get("/v1/agents").key(key).send().await.body_of(200);
    assert_eq!(make_key(&world, "n").await.body_of(201), first);
    let secret = key.rsplit('_').next().unwrap();
    assert!(!format!("{:?}", world.items().await).contains(secret), "only a hash is stored");
    let others = world.api.new_key(&["admin"]).await;
    let by_another = keyed(&world, "/v1/keys", json!({"name": "n", "scopes": ["read"]})).key(&others);
    assert_ne!(
        by_another.send().await.body_of(201)["keyId"],
        first["keyId"],
        "each caller has its own key space"
    );

    let path = format!("/v1/keys/{}", first["keyId"].as_str().unwrap());
    world.api.delete(&path).send().await.body_of(204);
    let refused = keyed(&world, "/v1/keys", json!({"name": "n", "scopes": ["read", "app"]}));
    let refused = world.refused(refused).await;
    assert_eq!(refused.problem(), (409, "conflict"), "a repetition does not restore a revoked key");
}

#[tokio::test]
async fn an_idempotency_key_is_for_one_request() {
    let world = World::new().await;
    register(&world, json!({"workerId": "w-1"})).await.body_of(201);
    for call in [
        keyed(&world, "/v1/workers", json!({"workerId": "w-2"})),
        keyed(&world, "/v1/keys", json!({"name": "n", "scopes": ["read"]})),
    ] {
        assert_eq!(world.refused(call).await.problem(), (422, "idempotency_mismatch"));
    }
    let without = world.api.post("/v1/workers", json!({"workerId": "w-1"}));
    assert_eq!(world.refused(without).await.problem(), (409, "already_exists"));
}

#[tokio::test]
async fn an_idempotency_key_is_kept_for_a_day() {
    let world = World::new().await;
    let first = make_key(&world, "n").await.body_of(201);
    world.bundle.clock.advance(Millis::new(DAY.as_millis() - 1));
    assert_eq!(make_key(&world, "n").await.body_of(201), first);
    world.bundle.clock.advance(Millis::new(1));
    assert_ne!(make_key(&world, "n").await.body_of(201)["keyId"], first["keyId"]);
}
