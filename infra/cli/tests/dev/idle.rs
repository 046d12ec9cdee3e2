//! Without messages the pool drains to zero workers, and starts again with the next message.

use std::time::Duration;

use crate::support::{Dev, eventually};

#[tokio::test]
async fn after_thirty_quiet_minutes_the_worker_goes_and_the_next_message_gets_a_new_one() {
    let dev = Dev::start(&[]).await;
    let first = dev.send("c", "hello").await;
    dev.message_in(&first, "done").await;
    let old = dev.workers().await[0]["workerId"].clone();

    let before = dev.cli(&["workers", "reconcile", "--dry-run"]);
    let before = String::from_utf8(before.stdout).unwrap();
    assert!(before.contains("nothing to do") && before.contains("work, or its idle timeout"), "{before}");

    dev.advance(Duration::from_secs(30 * 60)).await;
    eventually("the worker to be gone", async || {
        dev.advance(Duration::from_secs(60)).await;
        dev.workers().await.is_empty().then_some(())
    })
    .await;
    let stopped = dev.get(&format!("/v1/workers/{}", old.as_str().unwrap())).await;
    assert_eq!(stopped["status"], "stopped");
    assert!(dev.pid_of(old.as_str().unwrap()).is_none(), "its process and folder are gone");

    let second = dev.send("c", "back again").await;
    assert_eq!(dev.message_in(&second, "done").await["reply"], "echo: back again");
    assert_ne!(dev.workers().await[0]["workerId"], old);
}

#[tokio::test]
async fn the_list_of_workers_tells_what_the_last_reconcile_did_and_lacked() {
    let dev = Dev::start(&["--no-workers"]).await;
    let before = dev.cli(&["workers", "list"]);
    assert!(before.status.success(), "{before:?}");
    dev.send("c", "hello").await;
    let last = eventually("a reconcile that lacks something", async || {
        let last = dev.get("/v1/workers").await["lastReconcile"].clone();
        last["actions"].as_array().is_some_and(|actions| !actions.is_empty()).then_some(last)
    })
    .await;
    let told = dev.cli(&["workers", "list"]);
    let (words, errors) = (String::from_utf8(told.stdout).unwrap(), String::from_utf8(told.stderr).unwrap());
    assert!(words.contains(&format!("the last reconcile, at {}:", last["at"])), "{words}");
    let action = &last["actions"][0];
    for part in ["action", "subject", "outcome"] {
        assert!(words.contains(action[part].as_str().unwrap()), "{part}: {words}");
    }
    let error = last["errors"][0].as_str().unwrap();
    assert!(errors.contains(error), "{error}: {errors}");
    let json = dev.cli(&["--json", "workers", "list"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["lastReconcile"]["actions"], last["actions"]);
}

#[tokio::test]
async fn a_dry_run_shows_what_a_run_would_do_and_changes_nothing() {
    let dev = Dev::start(&["--no-workers"]).await;
    dev.send("c", "hello").await;
    let plan = dev.cli(&["workers", "reconcile", "--dry-run"]);
    let plan = String::from_utf8(plan.stdout).unwrap();
    assert!(plan.contains("spawn") && plan.contains("planned") && plan.contains("has no owner"), "{plan}");
    assert!(dev.workers().await.is_empty());
}
