//! The Fly emulator refuses the same requests as Fly.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::providers::fly::{TOKEN, World};
use crate::providers::suite::TestBench;

async fn call(world: &World, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let url = format!("{}/apps/workers/{path}", world.url);
    let mut request = reqwest::Client::new().request(method, url).bearer_auth(TOKEN);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

async fn volume(world: &World, name: &str) -> String {
    let body = json!({"name": name, "region": "fra", "size_gb": 1});
    let (_, made) = call(world, Method::POST, "volumes", Some(body)).await;
    made["id"].as_str().unwrap().to_owned()
}

fn machine(name: &str, volume: &str) -> Value {
    let mounts = json!([{"volume": volume, "path": "/data"}]);
    json!({"name": name, "region": "fra", "config": {"image": "i", "mounts": mounts}})
}

#[tokio::test]
async fn a_body_that_violates_the_api_document_is_refused_with_its_field() {
    let world = World::new().await;
    let body = json!({"name": "w", "config": {"image": "i", "restart": {"policy": "never"}}});
    let (status, refused) = call(&world, Method::POST, "machines", Some(body)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused["error"].as_str().unwrap().contains("config.restart.policy"), "{refused}");
}

#[tokio::test]
async fn a_volume_is_mounted_by_one_machine_in_its_region_only() {
    let world = World::new().await;
    let volume = volume(&world, "data").await;
    let (unknown, _) = call(&world, Method::POST, "machines", Some(machine("a", "vol_none"))).await;
    let mut elsewhere = machine("b", &volume);
    elsewhere["region"] = "ams".into();
    let (other_region, _) = call(&world, Method::POST, "machines", Some(elsewhere)).await;
    let (first, made) = call(&world, Method::POST, "machines", Some(machine("c", &volume))).await;
    world.advance(std::time::Duration::from_secs(1)).await;
    let (second, why) = call(&world, Method::POST, "machines", Some(machine("d", &volume))).await;
    assert_eq!([unknown, other_region, first, second].map(|s| s.as_u16()), [422, 422, 200, 412], "{why}");
    let path = format!("volumes/{volume}");
    let (bound, why) = call(&world, Method::DELETE, &path, None).await;
    let words = format!(
        "failed_precondition: volume is currently bound to machine: {}",
        made["id"].as_str().unwrap()
    );
    assert_eq!((bound.as_u16(), why["error"].as_str()), (412, Some(words.as_str())));
}

#[tokio::test]
async fn a_fourth_creation_within_a_second_is_rate_limited() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        volume(&world, name).await;
    }
    let (status, _) = call(&world, Method::POST, "volumes", Some(json!({"name": "d"}))).await;
    assert_eq!((status, world.fly.refused_for_rate()), (StatusCode::TOO_MANY_REQUESTS, 1));
}

#[tokio::test]
async fn a_wait_ends_at_its_state_or_at_its_timeout() {
    let world = World::new().await;
    let body = json!({"name": "w", "config": {"image": "i"}});
    let (_, made) = call(&world, Method::POST, "machines", Some(body)).await;
    let wait = format!("machines/{}/wait", made["id"].as_str().unwrap());
    let (started, _) = call(&world, Method::GET, &format!("{wait}?state=started"), None).await;
    let (stopped, _) = call(&world, Method::GET, &format!("{wait}?state=stopped&timeout=2"), None).await;
    let (unknown, _) = call(&world, Method::GET, &format!("{wait}?state=frozen"), None).await;
    assert_eq!([started, stopped, unknown].map(|s| s.as_u16()), [200, 408, 422]);
}

#[tokio::test]
async fn an_unknown_app_machine_volume_or_route_is_not_found() {
    let world = World::new().await;
    for path in ["machines/none", "volumes/none", "nothing"] {
        assert_eq!(call(&world, Method::GET, path, None).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let url = format!("{}/apps/other/machines", world.url);
    let answer = reqwest::Client::new().get(url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}
