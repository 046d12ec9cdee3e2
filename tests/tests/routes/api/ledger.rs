//! The ledger of usage, and the prices of models.

use af_app::queue::counters::StreamRecord;
use af_app::queue::ledger::record;
use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::api::World;

/// More records than a test makes.
const MAX_RECORDS: usize = 10_000;

/// Counts all that has happened, as effects does.
async fn count(world: &World) {
    let table = &world.bundle.template.tables[0].name;
    let records = world.bundle.aws.engine().records(table, None, MAX_RECORDS).unwrap();
    let records: Vec<StreamRecord> =
        records.into_iter().map(|r| serde_json::from_value(r).unwrap()).collect();
    record(&world.app, &records).await.unwrap();
}

/// The user says something, and the worker answers it with this usage.
async fn answered(world: &World, token: &str, user: &str, usage: Value) {
    world.say(user, "hello").await;
    let conversation = format!("user-agent:support:{user}");
    let job = world.poll(token, json!({"conversationId": conversation})).await["job"].clone();
    world.advance(Millis::new(1_500));
    world.on_job(token, &job, "complete", json!({"usage": usage})).await;
}

async fn listed(world: &World, query: &str) -> Value {
    world.api.get(&format!("/v1/usage{query}")).send().await.body_of(200)["items"].clone()
}

#[tokio::test]
async fn usage_is_listed_by_day_agent_user_and_model_with_its_cost() {
    let world = World::new().await;
    let prices = json!({"prices": [
        {"model": "small-1", "inputMicrosPerMillion": 1_000_000, "outputMicrosPerMillion": 4_000_000},
    ]});
    assert_eq!(world.api.get("/v1/config/prices").send().await.body_of(200), json!({"prices": []}));
    assert_eq!(world.api.put("/v1/config/prices", prices.clone()).send().await.body_of(200), prices);
    assert_eq!(world.api.get("/v1/config/prices").send().await.body_of(200), prices);
    world.expire_caches();
    let (of_ann, of_bob) = (world.worker("w-1").await, world.worker("w-2").await);
    for (user, token) in [("ann", &of_ann), ("bob", &of_bob)] {
        world.bind(user, "support").await;
        answered(&world, token, user, json!({"model": "small-1", "inputTokens": 100, "outputTokens": 10}))
            .await;
    }
    answered(&world, &of_ann, "ann", json!({"model": "large-1", "inputTokens": 7, "outputTokens": 1})).await;
    answered(&world, &of_bob, "bob", json!({"inputTokens": 1, "outputTokens": 1, "costMicros": 5})).await;
    count(&world).await;

    let days = listed(&world, "").await;
    let day = days[0]["day"].clone();
    let total = json!({
        "day": day, "messages": 4, "failed": 0, "delivered": 0, "attempts": 4, "unpricedAttempts": 1,
        "inputTokens": 208, "cachedInputTokens": 0, "outputTokens": 22, "costMicros": 285, "runMs": 6_000,
    });
    assert_eq!(days, json!([total]));
    let users = listed(&world, "?by=user").await;
    assert_eq!(
        users.as_array().unwrap().iter().map(|row| &row["consumerUserId"]).collect::<Vec<_>>(),
        ["ann", "bob"]
    );
    assert_eq!((&users[0]["costMicros"], &users[0]["unpricedAttempts"]), (&json!(140), &json!(1)));
    assert_eq!((&users[1]["costMicros"], &users[1]["unpricedAttempts"]), (&json!(145), &json!(0)));
    let agents = listed(&world, "?by=agent").await;
    assert_eq!((&agents[0]["agentKey"], &agents[0]["costMicros"]), (&json!("support"), &json!(285)));
    assert_eq!(listed(&world, "?scope=agent&id=support").await, agents);
    assert_eq!(listed(&world, "?scope=user&id=ann").await, json!([users[0]]));
    assert_eq!(listed(&world, "?scope=user&id=zoe").await, json!([]));
    let models = listed(&world, "?by=model").await;
    assert_eq!(models[0]["model"], "large-1");
    assert_eq!(models[0].get("costMicros"), None, "an unknown cost is not 0: {models}");
    assert_eq!((&models[1]["model"], &models[1]["costMicros"]), (&json!("small-1"), &json!(280)));

    let figures = world.api.get("/v1/users/ann/agents/support/usage").send().await.body_of(200);
    assert_eq!((&figures["recent"]["messages"], &figures["recent"]["costMicros"]), (&json!(2), &json!(140)));
}

#[tokio::test]
async fn pages_of_usage_cover_every_day_once() {
    let world = World::new().await;
    world.bind("ann", "support").await;
    let token = world.worker("w").await;
    for _ in 0..5 {
        answered(&world, &token, "ann", json!({"inputTokens": 1, "outputTokens": 1})).await;
        world.advance(Millis::from_days(1));
    }
    count(&world).await;
    for by in ["", "&by=agent", "&by=user"] {
        let (mut days, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/usage?limit=2{by}{cursor}");
            let page = world.api.get(&path).send().await.body_of(200);
            days.extend(page["items"].as_array().unwrap().iter().map(|row| row["day"].to_string()));
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(days.len(), 5, "{by}: {days:?}");
        assert!(days.is_sorted_by(|one, next| one < next), "{by}: {days:?}");
        let some =
            listed(&world, &format!("?from={}&to={}{by}", unquoted(&days[1]), unquoted(&days[2]))).await;
        assert_eq!(some.as_array().unwrap().len(), 2);
    }
}

fn unquoted(day: &str) -> &str {
    day.trim_matches('"')
}

#[tokio::test]
async fn a_query_of_usage_or_a_price_out_of_range_is_refused_with_its_field() {
    let world = World::new().await;
    for (query, pointer) in [
        ("scope=company", "/scope"),
        ("scope=agent", "/id"),
        ("scope=agent&id=a%20b", "/id"),
        ("id=support", "/id"),
        ("scope=agent&id=support&by=user", "/by"),
        ("by=hour", "/by"),
        ("from=2026-02-30", "/from"),
        ("to=today", "/to"),
        ("from=2026-02-02&to=2026-02-01", "/from"),
        ("cursor=x", "/cursor"),
    ] {
        let refused = world.refused(world.api.get(&format!("/v1/usage?{query}"))).await;
        assert_eq!((refused.problem(), refused.pointer()), ((422, "invalid_field"), pointer), "{query}");
    }
    let price = |model: &str, input: u64| json!({"model": model, "inputMicrosPerMillion": input, "outputMicrosPerMillion": 1});
    for (prices, pointer) in [
        (json!([price("a b", 1)]), "/prices/0/model"),
        (json!([price("a", 1), price("a", 2)]), "/prices/1/model"),
        (json!([price("a", 1_000_000_000_000_001)]), "/prices/0/inputMicrosPerMillion"),
    ] {
        let call = world.api.put("/v1/config/prices", json!({"prices": prices}));
        let refused = world.refused(call).await;
        assert_eq!((refused.problem(), refused.pointer()), ((422, "invalid_field"), pointer));
    }
}
