//! The snapshot routes of consumer apps.

use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::snapshots::World;

const LIST: &str = "/v1/users/ann/agents/demo/snapshots";

#[tokio::test]
async fn a_users_snapshots_are_listed_newest_first_and_ready_ones_have_a_download_url() {
    let world = World::new().await;
    let none = world.api.get(LIST).send().await.body_of(200);
    assert_eq!(none, json!({"items": []}), "no conversation yet");
    let worker = world.worker_after_one_message("w").await;
    let latest = world.api.get(&format!("{LIST}/latest")).send().await;
    assert_eq!(latest.problem(), (404, "not_found"), "no snapshot yet");
    let mut ids = Vec::new();
    for bytes in [b"one", b"two"] {
        world.enqueue("more").await;
        worker.work().await;
        ids.push(worker.upload_snapshot("manual", bytes).await);
        // Snapshots of the same millisecond have no order.
        world.advance(Millis::new(1));
    }
    ids.push(worker.prepare("manual", b"coming").await.id);
    ids.reverse();

    let first = world.api.get(&format!("{LIST}?limit=2")).send().await.body_of(200);
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = world.api.get(&format!("{LIST}?limit=2&cursor={cursor}")).send().await.body_of(200);
    assert!(second["nextCursor"].is_null());
    let items: Vec<Value> =
        [&first, &second].iter().flat_map(|page| page["items"].as_array().unwrap().clone()).collect();
    let listed: Vec<_> = items.iter().map(|i| i["snapshotId"].as_str().unwrap()).collect();
    assert_eq!(listed, ids);
    assert_eq!((&items[0]["status"], &items[0]["downloadUrl"]), (&json!("uploading"), &Value::Null));
    assert_eq!(items[1]["sizeBytes"], 3);
    assert_eq!(world.fetch(&items[2]["downloadUrl"]).await, (200, b"one".to_vec()));

    let latest = world.api.get(&format!("{LIST}/latest")).send().await.body_of(200);
    let mut expected = items[1].clone();
    expected["downloadUrl"] = latest["downloadUrl"].clone();
    assert_eq!(latest, expected);
    assert_eq!(world.fetch(&latest["downloadUrl"]).await, (200, b"two".to_vec()));
    let others = world.api.get("/v1/users/bob/agents/demo/snapshots").send().await;
    assert_eq!(others.body_of(200), json!({"items": []}));
}
