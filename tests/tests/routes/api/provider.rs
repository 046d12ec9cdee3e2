use std::sync::Arc;

use af_providers::{LocalOptions, LocalProvider, Providers};
use af_tests::bundle::Bundle;
use serde_json::{Value, json};

use crate::api::World;

const CONFIG: &str = "/v1/config/provider";

fn fly() -> Value {
    json!({
        "kind": "fly", "appName": "agents", "organizationSlug": "acme", "image": "registry.fly.io/agents:7",
        "region": "fra", "volumeName": "data", "volumePath": "/data", "volumeSizeGb": 2,
        "guest": {"cpuKind": "shared", "cpus": 1, "memoryMb": 512}, "env": {"LOG": "info"},
    })
}

#[tokio::test]
async fn the_provider_config_is_set_and_shown() {
    let world = World::new().await;
    let none = world.api.get(CONFIG).send().await.body_of(200);
    assert_eq!(none, json!({"config": null, "warnings": []}));
    let set = world.api.put(CONFIG, fly()).send().await.body_of(200);
    assert_eq!(set, json!({"config": fly(), "warnings": []}));
    assert_eq!(world.api.get(CONFIG).send().await.body_of(200), set);
    let mut elsewhere = fly();
    elsewhere["image"] = "docker.io/acme/agents:7".into();
    let warned = world.api.put(CONFIG, elsewhere).send().await.body_of(200);
    assert_eq!(warned["warnings"].as_array().unwrap().len(), 1, "{warned}");
}

#[tokio::test]
async fn an_invalid_provider_config_is_refused_with_its_field() {
    let world = World::new().await;
    for (field, value, pointer, words) in [
        ("kind", json!("ecs"), "/kind", "provider `ecs` is not available; available: fly"),
        ("kind", json!("local"), "/kind", "provider `local` is not available; available: fly"),
        ("kind", json!(null), "/kind", "must be a string"),
        ("appName", json!(null), "/appName", "Missing providerConfig.appName."),
        ("image", json!(null), "/image", "Missing providerConfig.image."),
        ("region", json!(null), "/region", "Missing providerConfig.region."),
        ("appName", json!("My App"), "/appName", "must be 1 to 63"),
        ("volumeSizeGb", json!(0), "/volumeSizeGb", "must be 1 to 500"),
        (
            "guest",
            json!({"cpuKind": "shared", "cpus": 1, "memoryMb": 1}),
            "/guest/memoryMb",
            "multiple of 256",
        ),
        (
            "guest",
            json!({"cpuKind": "shared", "cpus": "1", "memoryMb": 256}),
            "/guest/cpus",
            "a whole number",
        ),
        ("guest", json!({"cpuKind": "shared", "cpus": 1}), "/guest/memoryMb", "memoryMb is needed"),
        ("volumeSizeGb", json!("2"), "/volumeSizeGb", "a whole number"),
        ("token", json!("fm2_secret"), "/token", "there is no field token"),
        ("env", json!({"1A": "x"}), "/env", "begin with no digit"),
    ] {
        let mut config = fly();
        config[field] = value;
        let answer = world.refused(world.api.put(CONFIG, config)).await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), pointer));
        assert!(answer.detail().contains(words), "{}", answer.detail());
    }
    let mut without = fly();
    without.as_object_mut().unwrap().remove("kind");
    let answer = world.refused(world.api.put(CONFIG, without)).await;
    assert_eq!((answer.pointer(), answer.detail()), ("/kind", "Missing providerConfig.kind."));
    let none = world.api.get(CONFIG).send().await.body_of(200);
    assert_eq!(none, json!({"config": null, "warnings": []}));
}

#[tokio::test]
async fn each_missing_prerequisite_is_reported_with_its_fix() {
    let world = World::new().await;
    world.api.put(CONFIG, fly()).send().await.body_of(200);
    world.enqueue("c", "hello").await;
    let run = async || world.api.call(http::Method::POST, "/v1/workers/reconcile").send().await.body_of(200);
    let missing = "Missing Fly API token. Import an active 'fly.apiToken' secret.";
    assert_eq!(run().await["errors"], json!([missing]));
    let readiness = world.api.get("/v1/provider").send().await.body_of(200);
    assert_eq!((&readiness["ready"], &readiness["missing"]), (&json!(false), &json!([missing])));
    let cleanup = json!({"appName": "agents", "confirm": "agents"});
    let refused = world.refused(world.api.post("/v1/provider/cleanup", cleanup)).await;
    assert_eq!((refused.problem().1, refused.detail()), ("not_configured", missing));
}

#[tokio::test]
async fn an_expired_lease_is_recovered_without_a_provider_config() {
    let world = World::new().await;
    let token = world.worker("w-1").await;
    let id = world.enqueue("c", "hello").await;
    world.poll(&token, json!({"conversationId": "c"})).await;
    world.bundle.clock.advance(af_domain::time::Millis::from_secs(600));
    let report = world.api.call(http::Method::POST, "/v1/workers/reconcile").send().await.body_of(200);
    assert_eq!(report["errors"], json!(["Missing providerConfig.kind."]));
    let message = world.api.get(&format!("/v1/messages/{id}")).send().await.body_of(200);
    assert_eq!(message["status"], "queued", "{report}");
}

#[tokio::test]
async fn a_cleanup_confirms_the_configured_app_name_on_local_too_and_an_unknown_volume_is_not_found() {
    let mut bundle = Bundle::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    bundle.providers = Providers::none().with(Arc::new(LocalProvider::new(LocalOptions {
        program: "sleep".into(),
        args: vec!["60".to_owned()],
        kind: af_providers::WorkerKind::Reference,
        env: Default::default(),
        data_dir: folder.path().to_owned(),
        stop_timeout: std::time::Duration::from_secs(1),
    })));
    let world = World::over(bundle).await;
    world.api.put(CONFIG, json!({"kind": "local"})).send().await.body_of(200);
    let slip = json!({"appName": "agents", "confirm": "agent"});
    let refused = world.refused(world.api.post("/v1/provider/cleanup", slip)).await;
    assert_eq!((refused.problem(), refused.pointer()), ((422, "invalid_field"), "/confirm"));
    // Any name removed everything before, because this provider has only one app.
    for name in ["agents", "LOCAL", ""] {
        let foreign = json!({"appName": name, "confirm": name});
        let refused = world.refused(world.api.post("/v1/provider/cleanup", foreign)).await;
        assert_eq!((refused.problem(), refused.pointer()), ((422, "invalid_field"), "/appName"), "{name}");
    }
    let none = json!({"found": 0, "deleted": 0, "remaining": 0});
    let cleanup = json!({"appName": "local", "confirm": "local"});
    let report = world.api.post("/v1/provider/cleanup", cleanup).send().await.body_of(200);
    assert_eq!((&report["machines"], &report["volumes"]), (&none, &none));
    let unknown = world.api.call(http::Method::DELETE, "/v1/provider/volumes/w-none");
    assert_eq!(world.refused(unknown).await.status.as_u16(), 404);
    let odd = world.api.call(http::Method::DELETE, "/v1/provider/volumes/a%20b");
    let refused = world.refused(odd).await;
    assert_eq!(refused.problem(), (422, "invalid_field"));
    assert!(refused.detail().starts_with("volumeId must be"), "{}", refused.detail());
}
