//! Agent-bridge: its settings in a profile, a bundle and the environment of a worker.

use serde_json::{Value, json};

use crate::api::World;

impl World {
    async fn secret(&self, name: &str, value: &str) {
        let body = json!({"plaintextValue": value});
        self.api.put(&format!("/v1/secrets/{name}"), body).send().await.body_of(200);
    }

    async fn set_bridge(&self, agent: &str, config: Value) -> Value {
        let body = json!({"version": "1", "bridgeConfig": config});
        self.api.put(&format!("/v1/agents/{agent}"), body).send().await.body_of(200)
    }

    /// The environment of a new worker.
    async fn env(&self, id: &str) -> Value {
        let answer = self.api.post("/v1/workers", json!({"workerId": id})).send().await.body_of(201);
        answer["env"].clone()
    }

    /// The bundle of a new message, from a function with expired caches.
    async fn bundle(&self, conversation: &str) -> Value {
        self.expire_caches();
        self.enqueue(conversation, "hello").await;
        let token = self.worker(&format!("w-{conversation}")).await;
        self.poll(&token, json!({})).await["bundle"].clone()
    }
}

fn full_config() -> Value {
    json!({
        "enabled": true, "baseUrl": "https://crm.example/bridge", "serviceId": "crm", "appKey": "app",
        "serviceKeySecretRef": "crm.key", "appBaseUrlMapJsonSecretRef": "crm.urls",
    })
}

#[tokio::test]
async fn a_bridge_config_is_set_shown_kept_while_disabled_and_removed() {
    let world = World::new().await;
    assert_eq!(world.set_bridge("support", full_config()).await["bridgeConfig"], full_config());
    let path = "/v1/agents/support";
    assert_eq!(world.api.get(path).send().await.body_of(200)["bridgeConfig"], full_config());
    let mut off = full_config();
    off["enabled"] = false.into();
    assert_eq!(world.set_bridge("support", off.clone()).await["bridgeConfig"], off);
    assert_eq!(world.bundle("c").await["bridgeRuntimeConfig"], json!(null));
    let without = world.api.put(path, json!({"version": "1"})).send().await.body_of(200);
    assert_eq!(without["bridgeConfig"], json!(null));
}

#[tokio::test]
async fn an_invalid_bridge_config_is_refused_with_its_field() {
    let world = World::new().await;
    for (field, value) in [
        ("baseUrl", json!("http://crm.example")),
        ("baseUrl", json!("crm.example")),
        ("baseUrl", json!("https://user:pass@crm.example")),
        ("baseUrl", json!("")),
        ("serviceId", json!(" ")),
        ("serviceId", json!("x".repeat(201))),
        ("appKey", json!("a\nb")),
        ("serviceKeySecretRef", json!("not a name")),
        ("appBaseUrlMapJsonSecretRef", json!("")),
        ("serviceKeySecretRef", json!("workerToken.signingKey")),
        ("serviceKeySecretRef", json!("telegram.botToken.sales")),
        ("appBaseUrlMapJsonSecretRef", json!("bootstrap.adminKey")),
        ("enabled", json!("yes")),
        ("serviceKey", json!("the key itself")),
    ] {
        let mut config = full_config();
        config[field] = value;
        let body = json!({"version": "1", "bridgeConfig": config});
        let answer = world.refused(world.api.put("/v1/agents/support", body)).await;
        let pointer = format!("/bridgeConfig/{field}");
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer.as_str()));
    }
}

#[tokio::test]
pub async fn a_bundle_has_every_bridge_value_and_the_secret_ref_of_its_key() {
    let world = World::new().await;
    world.set_bridge("support", full_config()).await;
    let unset = world.bundle("a").await;
    let mut expected = json!({
        "baseUrl": "https://crm.example/bridge", "appBaseUrlMapJson": null, "serviceId": "crm", "appKey": "app",
        "serviceKey": null, "serviceKeySecretRef": null, "botIdentity": null,
    });
    assert_eq!(unset["bridgeRuntimeConfig"], expected);
    world.secret("crm.urls", r#"{"app":"https://a.example"}"#).await;
    world.secret("agent-bridge.serviceKey", "global").await;
    world.secret("crm.key", "s3cr3t").await;
    expected["appBaseUrlMapJson"] = r#"{"app":"https://a.example"}"#.into();
    expected["serviceKey"] = "s3cr3t".into();
    expected["serviceKeySecretRef"] = "crm.key".into();
    assert_eq!(world.bundle("b").await["bridgeRuntimeConfig"], expected);
    let stored = format!("{:?}", world.items().await);
    assert!(!stored.contains("s3cr3t"), "a secret's value is never in the table");
}

#[tokio::test]
async fn an_agent_without_own_bridge_values_gets_its_agent_secrets_and_the_global_secrets() {
    let world = World::new().await;
    world.set_bridge("support", json!({"enabled": true})).await;
    world.secret("agent-bridge.baseUrl", "https://all.example").await;
    world.secret("agent-bridge.serviceKey", "global").await;
    world.secret("agent-bridge.serviceKey.support", "own").await;
    world.secret("agent-bridge.serviceKey.sales", "another's").await;
    let expected = json!({
        "baseUrl": "https://all.example", "appBaseUrlMapJson": null, "serviceId": null, "appKey": null,
        "serviceKey": "own", "serviceKeySecretRef": "agent-bridge.serviceKey.support", "botIdentity": null,
    });
    assert_eq!(world.bundle("c").await["bridgeRuntimeConfig"], expected);
}

#[tokio::test]
async fn the_environment_of_a_worker_has_every_variable_of_an_image() {
    let world = World::new().await;
    let config = json!({
        "kind": "fly", "appName": "agents", "image": "registry.fly.io/agents:7", "region": "fra", "volumePath": "/vol",
        "env": {
            "OPENCLAW_AGENT_MODEL": "m-1", "NODE_ENV": "test", "CONVEX_URL": "https://wrong.example",
            "WORKER_ID": "wrong", "WORKSPACE_ID": "wrong", "OPENCLAW_CONVERSATION_ID": "wrong",
        },
    });
    world.api.put("/v1/config/provider", config).send().await.body_of(200);
    let answer = world.api.post("/v1/workers", json!({"workerId": "w-1"})).send().await.body_of(201);
    let token = answer["token"].as_str().unwrap();
    let expected = json!({
        "AGENT_FACTORY_URL": "https://factory.example",
        "AGENT_FACTORY_WORKER_ID": "w-1",
        "AGENT_FACTORY_WORKER_TOKEN": token,
        "CONVEX_URL": format!("https://factory.example/w/{token}"),
        "HEARTBEAT_INTERVAL_MS": "15000",
        "NODE_ENV": "test",
        "OPENCLAW_AGENT_MODEL": "m-1",
        "OPENCLAW_CONFIG_PATH": "/vol/.clawdbot/openclaw.json",
        "OPENCLAW_GATEWAY_COMMAND": "node /app/openclaw.mjs gateway",
        "OPENCLAW_GATEWAY_HOST": "127.0.0.1",
        "OPENCLAW_GATEWAY_PORT": "18789",
        "OPENCLAW_GATEWAY_READY_POLL_MS": "500",
        "OPENCLAW_GATEWAY_READY_REQUIRED": "true",
        "OPENCLAW_GATEWAY_READY_TIMEOUT_MS": "60000",
        "OPENCLAW_GATEWAY_URL": "http://127.0.0.1:18789",
        "OPENCLAW_REQUIRE_DATA_MOUNT": "true",
        "OPENCLAW_RUN_SETUP": "false",
        "OPENCLAW_SETUP_TIMEOUT_MS": "90000",
        "OPENCLAW_SKILLS_DIR": "/vol/workspace/skills",
        "OPENCLAW_STATE_DIR": "/vol/.clawdbot",
        "OPENCLAW_WORKSPACE_DIR": "/vol/workspace",
        "POLL_INTERVAL_MS": "1000",
        "SKILLS_BOOTSTRAP_MODE": "db_manifest",
        "SKILLS_BOOTSTRAP_REQUIRED": "false",
        "SKILLS_BOOTSTRAP_TIMEOUT_MS": "15000",
        "SKILLS_RELEASE_CHANNEL": "stable",
        "TELEGRAM_API_URL": "http://127.0.0.1:9",
        "WORKER_ID": "w-1",
        "WORKER_IDLE_TIMEOUT_MS": "1800000",
        "WORKSPACE_ID": "default",
    });
    assert_eq!(answer["env"], expected);
}

/// The bridge configs of the agents `support` and `sales`, secrets, and the resulting service id and service key.
type Shared = (&'static str, [Value; 2], &'static [(&'static str, &'static str)], [Value; 2]);

fn shared() -> Vec<Shared> {
    const KEYS: &[(&str, &str)] =
        &[("agent-bridge.serviceKey.support", "k"), ("agent-bridge.serviceKey.sales", "k")];
    const NAMED: &[(&str, &str)] = &[("crm.key", "named"), ("agent-bridge.serviceKey.support", "k")];
    const GLOBAL: &[(&str, &str)] = &[("agent-bridge.serviceId", "g"), ("agent-bridge.serviceKey", "gk")];
    let on = |id: &str| json!({"enabled": true, "serviceId": id});
    let (none, silent) = (json!(null), json!({"enabled": true}));
    let off = json!({"enabled": false, "serviceId": "b"});
    let by_name = json!({"enabled": true, "serviceKeySecretRef": "crm.key"});
    vec![
        ("no bridges", [none.clone(), none.clone()], KEYS, [none.clone(), none.clone()]),
        ("one bridge", [on("a"), none.clone()], &[], [json!("a"), none.clone()]),
        ("the bridges agree", [on("a"), on("a")], KEYS, [json!("a"), json!("k")]),
        ("the bridges differ", [on("a"), on("b")], KEYS, [none.clone(), json!("k")]),
        ("one has no value", [on("a"), silent], &KEYS[..1], [none.clone(), none.clone()]),
        ("a disabled bridge is ignored", [on("a"), off], &KEYS[..1], [json!("a"), json!("k")]),
        ("the named secret comes first", [by_name, none.clone()], NAMED, [none.clone(), json!("named")]),
        ("global secrets come before agent settings", [on("a"), on("a")], GLOBAL, [json!("g"), json!("gk")]),
        ("a global secret is for all agents", [on("a"), on("b")], &GLOBAL[..1], [json!("g"), none]),
    ]
}

#[tokio::test]
async fn the_environment_of_a_worker_has_the_bridge_values_that_all_agents_share() {
    for (what, agents, secrets, [id, key]) in shared() {
        let world = World::new().await;
        for (agent, config) in ["support", "sales"].into_iter().zip(agents) {
            world.set_bridge(agent, config).await;
        }
        for (name, value) in secrets {
            world.secret(name, value).await;
        }
        let env = world.env("w-1").await;
        assert_eq!((&env["OPENCLAW_SERVICE_ID"], &env["OPENCLAW_SERVICE_KEY"]), (&id, &key), "{what}");
        assert!(env.get("OPENCLAW_LINKING_SHARED_SECRET").is_none(), "{what}");
    }
}

#[tokio::test]
async fn a_disabled_agent_is_ignored_and_the_linking_secret_is_global() {
    let world = World::new().await;
    world.set_bridge("support", json!({"enabled": true, "serviceId": "a"})).await;
    let off = json!({"version": "1", "enabled": false, "bridgeConfig": {"enabled": true, "serviceId": "b"}});
    world.api.put("/v1/agents/sales", off).send().await.body_of(200);
    world.secret("agent-bridge.linkingSharedSecret", "link").await;
    let env = world.env("w-1").await;
    assert_eq!(env["OPENCLAW_SERVICE_ID"], "a");
    assert_eq!(env["OPENCLAW_LINKING_SHARED_SECRET"], "link");
    assert!(env.get("OPENCLAW_SERVICE_KEY").is_none(), "a variable without a value is left out");
}
