//! The agents of a user, as a consumer app sees them.

use af_domain::time::Millis;
use af_tests::telegram::{Person, with_telegram};
use serde_json::{Value, json};

use crate::api::{World, each};

async fn agents(world: &World, user: &str, query: &str) -> Vec<(String, String)> {
    let page = world.api.get(&format!("/v1/users/{user}/agents?{query}")).send().await.body_of(200);
    let (keys, states) = (each(&page, "agentKey"), each(&page, "status"));
    keys.into_iter().zip(states).map(|(key, state)| (key.to_owned(), state.to_owned())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, state)| ((*key).to_owned(), (*state).to_owned())).collect()
}

async fn enable(world: &World, agent: &str, enabled: bool) {
    let profile = json!({"version": "2", "displayName": "Sales", "enabled": enabled});
    world.api.put(&format!("/v1/agents/{agent}"), profile).send().await.body_of(200);
}

#[tokio::test]
async fn an_unknown_user_has_no_agents() {
    let world = World::new().await;
    let overview = world.api.get("/v1/users/ann/overview").send().await.body_of(200);
    assert_eq!(overview, json!({"agents": [], "canCreateNewAgent": true}));
    let page = world.api.get("/v1/users/ann/agents").send().await.body_of(200);
    assert_eq!(page, json!({"items": []}));
    for path in ["/v1/users/ann/agents/support", "/v1/users/ann/active-agent"] {
        assert_eq!(world.api.get(path).send().await.problem(), (404, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn an_agent_of_a_user_goes_from_active_to_disabled_and_back() {
    let world = World::new().await;
    enable(&world, "sales", true).await;
    world.bind("ann", "sales").await;
    let path = "/v1/users/ann/agents/sales";
    let mut expected = json!({
        "consumerUserId": "ann", "agentKey": "sales", "displayName": "Sales", "version": "2", "status": "active",
        "bindingStatus": "active", "conversationId": "user-agent:sales:ann", "canCreateNewAgent": false,
        "canDisable": true, "canChat": true, "canManagePushJobs": true,
    });
    assert_eq!(world.api.get(path).send().await.body_of(200), expected);
    assert_eq!(world.api.get("/v1/users/ann/active-agent").send().await.body_of(200), expected);

    enable(&world, "sales", false).await;
    let failed = world.api.get(path).send().await.body_of(200);
    let shown =
        ["status", "canCreateNewAgent", "canDisable", "canChat", "canManagePushJobs"].map(|f| &failed[f]);
    assert_eq!(shown, [&json!("failed"), &json!(true), &json!(false), &json!(false), &json!(false)]);
    assert_eq!(world.api.get("/v1/users/ann/active-agent").send().await.problem(), (404, "not_found"));
    assert_eq!(agents(&world, "ann", "").await, pairs(&[("sales", "failed")]));

    enable(&world, "sales", true).await;
    world.advance(Millis::new(1));
    world.bind("ann", "support").await;
    let all = pairs(&[("sales", "disabled"), ("support", "active")]);
    assert_eq!(agents(&world, "ann", "includeDisabled=true").await, all);
    assert_eq!(agents(&world, "ann", "").await, pairs(&[("support", "active")]));
    let overview = world.api.get("/v1/users/ann/overview?includeDisabled=true").send().await.body_of(200);
    assert_eq!(overview["activeAgentKey"], "support");
    assert_eq!(overview["canCreateNewAgent"], false);
    for (field, value) in [
        ("status", json!("disabled")),
        ("bindingStatus", json!("revoked")),
        ("canDisable", json!(false)),
        ("canChat", json!(false)),
        ("canManagePushJobs", json!(false)),
    ] {
        expected[field] = value;
    }
    assert_eq!(overview["agents"][0], expected);

    world.api.delete("/v1/users/ann/binding").send().await.body_of(204);
    let all = pairs(&[("sales", "disabled"), ("support", "disabled")]);
    assert_eq!(agents(&world, "ann", "includeDisabled=true").await, all);
    world.advance(Millis::new(1));
    world.bind("ann", "sales").await;
    assert_eq!(agents(&world, "ann", "").await, pairs(&[("sales", "active")]));
    assert_eq!(agents(&world, "bob", "includeDisabled=true").await, [], "another user has none of them");
}

#[tokio::test]
async fn an_agent_with_a_pairing_code_is_in_pairing_and_then_a_draft() {
    let (bundle, telegram) = with_telegram().await;
    let world = World::over(bundle).await;
    let person = Person::writes_to(&world.bundle, world.api.clone(), telegram, "support").await;
    let pair = async || {
        let made =
            world.api.post("/v1/users/ann/agents/support/pairing", json!({})).send().await.body_of(201);
        made["pairing"]["code"].as_str().unwrap().to_owned()
    };
    pair().await;
    let shown = world.api.get("/v1/users/ann/agents/support").send().await.body_of(200);
    assert_eq!((&shown["status"], &shown["pairingStatus"]), (&json!("pairing"), &json!("pending")));
    assert_eq!(shown["bindingStatus"], Value::Null);
    assert_eq!(shown["telegramUsername"], person.bot.username);
    assert_eq!(agents(&world, "ann", "").await, pairs(&[("support", "pairing")]));

    world.advance(Millis::from_secs(15 * 60));
    assert_eq!(agents(&world, "ann", "").await, pairs(&[("support", "draft")]));
    let code = pair().await;
    person.sends(1, "message", json!({"text": format!("/start {code}")})).await;
    let shown = world.api.get("/v1/users/ann/active-agent").send().await.body_of(200);
    assert_eq!((&shown["status"], &shown["pairingStatus"]), (&json!("active"), &json!("used")));

    world.api.delete("/v1/users/ann/binding").send().await.body_of(204);
    assert_eq!(agents(&world, "ann", "").await, []);
    pair().await;
    assert_eq!(agents(&world, "ann", "").await, pairs(&[("support", "pairing")]), "the user pairs again");
    enable(&world, "support", false).await;
    world.advance(Millis::from_secs(15 * 60));
    assert_eq!(agents(&world, "ann", "includeDisabled=true").await, pairs(&[("support", "disabled")]));
}

#[tokio::test]
async fn the_agents_of_a_user_are_paged_without_gaps_and_without_the_disabled_ones() {
    let world = World::new().await;
    let keys: Vec<String> = (0..7).map(|n| format!("agent-{n}")).collect();
    for key in &keys {
        world.agent(key).await;
        world.bind("ann", key).await;
        world.advance(Millis::new(1));
    }
    let pages = async |query: &str, path: &str, items: &str| {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        for _ in 0..5 {
            let page = world.api.get(&format!("{path}?limit=3&{query}{cursor}")).send().await.body_of(200);
            let listed = page[items].as_array().unwrap();
            found.extend(listed.iter().map(|agent| agent["agentKey"].as_str().unwrap().to_owned()));
            let Some(next) = page["nextCursor"].as_str() else { return found };
            assert_eq!(listed.len(), 3, "a page that is not the last one is full");
            cursor = format!("&cursor={next}");
        }
        panic!("the list does not end");
    };
    assert_eq!(pages("includeDisabled=true", "/v1/users/ann/agents", "items").await, keys);
    assert_eq!(pages("includeDisabled=true", "/v1/users/ann/overview", "agents").await, keys);
    assert_eq!(pages("", "/v1/users/ann/agents", "items").await, keys[6..]);
    let first = world.api.get("/v1/users/ann/agents?includeDisabled=true&limit=1").send().await.body_of(200);
    let cursor = first["nextCursor"].as_str().unwrap();
    for foreign in [
        format!("/v1/users/bob/agents?includeDisabled=true&cursor={cursor}"),
        format!("/v1/users/ann/agents?cursor={cursor}"),
    ] {
        let answer = world.api.get(&foreign).send().await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/cursor"));
    }
    let answer = world.api.get("/v1/users/ann/agents?includeDisabled=maybe").send().await;
    assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/includeDisabled"));
}

#[tokio::test]
async fn an_agent_whose_profile_was_deleted_is_disabled() {
    let world = World::new().await;
    world.agent("sales").await;
    world.bind("ann", "sales").await;
    world.api.delete("/v1/agents/sales").send().await.body_of(204);
    let shown = world.api.get("/v1/users/ann/agents/sales").send().await.body_of(200);
    assert_eq!((&shown["status"], &shown["version"]), (&json!("failed"), &Value::Null));
    world.api.delete("/v1/users/ann/binding").send().await.body_of(204);
    assert_eq!(agents(&world, "ann", "includeDisabled=true").await, pairs(&[("sales", "disabled")]));
}
