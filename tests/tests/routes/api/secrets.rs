use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::api::World;

const VALUE: &str = "s3cr3t-value";

#[tokio::test]
pub async fn a_secret_is_imported_rotated_and_deleted_and_its_value_is_never_shown() {
    let world = World::new().await;
    let put =
        |value: &str| world.api.put("/v1/secrets/model.apiKey", json!({"plaintextValue": value})).send();
    let status = async || world.api.get("/v1/secrets?refs=model.apiKey,other").send().await.body_of(200);
    let nothing = |name: &str| json!({"secretRef": name, "hasActive": false, "version": null});
    assert_eq!(status().await["items"], json!([nothing("model.apiKey"), nothing("other")]));
    let mut outputs = Vec::new();
    let first = put(VALUE).await.body_of(200);
    assert_eq!(first["secretRef"], "model.apiKey");
    let second = put(&format!("{VALUE} 2")).await.body_of(200);
    assert_ne!(first["version"], second["version"]);
    let active = status().await;
    let expected = json!({"secretRef": "model.apiKey", "hasActive": true, "version": second["version"]});
    assert_eq!(active["items"], json!([expected, nothing("other")]));
    outputs.extend([first, second, active]);
    for _ in 0..2 {
        world.api.delete("/v1/secrets/model.apiKey").send().await.body_of(204);
    }
    assert_eq!(status().await["items"][0], nothing("model.apiKey"));
    outputs.push(put(VALUE).await.body_of(200));
    assert_eq!(status().await["items"][0]["hasActive"], true, "an import restores a deleted secret");
    outputs.extend(world.items().await);
    assert!(!Value::from(outputs).to_string().contains(VALUE));
}

#[tokio::test]
async fn a_refused_secret_is_not_shown_in_the_error() {
    let world = World::new().await;
    for body in [
        format!(r#"{{"plaintextValue": ["{VALUE}"]}}"#),
        format!(r#"{{"plaintextValue": "a", "more": "{VALUE}"}}"#),
        format!(r#"{{"plaintextValue": "{VALUE}", "plaintextValue": "{VALUE}"}}"#),
        format!(r#"{{"plaintextValue": "{VALUE}"#),
        format!(r#"{{"plaintextValue": "{}"}}"#, VALUE.repeat(10_000)),
        r#"{"plaintextValue": ""}"#.to_owned(),
    ] {
        let answer = world.refused(world.api.put("/v1/secrets/a", json!({})).text(&body)).await;
        assert!(!answer.body.to_string().contains(VALUE), "{}", answer.body);
    }
    let status = world.api.get("/v1/secrets?refs=a").send().await.body_of(200);
    assert_eq!(status["items"][0]["hasActive"], false);
}

#[tokio::test]
async fn the_status_of_secrets_is_requested_by_name_with_a_limit() {
    let world = World::new().await;
    let many = vec!["a"; 101].join(",");
    for path in
        ["/v1/secrets", "/v1/secrets?refs=", "/v1/secrets?refs=a,,b", &format!("/v1/secrets?refs={many}")]
    {
        let answer = world.api.get(path).send().await;
        assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/refs"), "{path}");
    }
    let most: Vec<_> = (0..100).map(|n| format!("s{n}")).collect();
    let answer = world.api.get(&format!("/v1/secrets?refs={}", most.join(","))).send().await.body_of(200);
    assert_eq!(answer["items"].as_array().unwrap().len(), 100);
}

/// A value with the form of a secret that opens the deployment.
fn opening(start: &str) -> String {
    format!("{start:x<32}")
}

#[tokio::test]
async fn a_secret_that_opens_the_deployment_has_32_or_more_visible_ascii_characters() {
    let world = World::new().await;
    for name in ["bootstrap.adminKey", "workerToken.signingKey"] {
        let path = format!("/v1/secrets/{name}");
        let put = |value: &str| world.api.put(&path, json!({"plaintextValue": value}));
        let short = opening("")[1..].to_owned();
        for value in ["a", &short, &format!("{} ", opening("")), &opening("é"), &opening("tab\t")] {
            let refused = world.refused(put(value)).await;
            assert_eq!((refused.problem(), refused.pointer()), ((422, "invalid_field"), "/plaintextValue"));
            assert!(!refused.detail().contains(value) || value == "a", "{}", refused.detail());
        }
        put(&opening("new-")).send().await.body_of(200);
    }
    // A function reads an unknown value at most every two seconds.
    world.bundle.clock.advance(Millis::from_secs(2));
    let key = format!("afk_bootstrap_{}", opening("new-"));
    let put = world.api.put("/v1/secrets/model.apiKey", json!({"plaintextValue": "a"})).key(&key);
    put.send().await.body_of(200);
}

#[tokio::test]
async fn a_secret_that_opens_the_deployment_cannot_be_deleted() {
    let world = World::new().await;
    for name in ["bootstrap.adminKey", "workerToken.signingKey"] {
        let refused = world.refused(world.api.delete(&format!("/v1/secrets/{name}"))).await;
        assert_eq!(refused.problem(), (409, "conflict"), "{name}");
        let status = world.api.get(&format!("/v1/secrets?refs={name}")).send().await.body_of(200);
        assert_eq!(status["items"][0]["hasActive"], true, "{name}");
    }
}

#[tokio::test]
async fn after_a_rotation_of_the_first_admin_key_both_values_are_valid_for_10_minutes() {
    let world = World::new().await;
    let old = world.bundle.admin_key();
    let new = format!("afk_bootstrap_{}", opening("second-"));
    let status = async |key: &str| world.api.get("/v1/agents").key(key).send().await.status.as_u16();
    assert_eq!([status(&old).await, status(&new).await], [200, 401]);
    let body = json!({"plaintextValue": opening("second-")});
    world.api.put("/v1/secrets/bootstrap.adminKey", body).send().await.body_of(200);
    // A function reads an unknown value at most every two seconds.
    world.bundle.clock.advance(Millis::from_secs(2));
    assert_eq!([status(&new).await, status(&old).await], [200, 200]);
    world.bundle.clock.advance(Millis::from_secs(597));
    assert_eq!([status(&new).await, status(&old).await], [200, 200]);
    world.bundle.clock.advance(Millis::from_secs(1));
    assert_eq!([status(&new).await, status(&old).await], [200, 401]);
}
