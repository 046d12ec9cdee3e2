//! Without messages the pool drains to zero workers, and starts again with the next message.

use std::time::Duration;

use crate::support::{Dev, eventually};

#[tokio::test]
async fn an_idle_worker_ends_after_thirty_minutes_and_the_next_message_gets_a_new_worker() {
    let dev = Dev::start(&[]).await;
    let first = dev.send("c", "hello").await;
    dev.message_in(&first, "done").await;
    let old = dev.workers().await[0]["workerId"].clone();

    let before = dev.cli(&["workers", "reconcile", "--dry-run"]);
    let before = String::from_utf8(before.stdout).unwrap();
    assert!(before.contains("nothing to do") && before.contains("work, or its idle timeout"), "{before}");

    dev.advance(Duration::from_secs(30 * 60)).await;
    eventually("the end of the worker", async || {
        dev.advance(Duration::from_secs(60)).await;
        dev.workers().await.is_empty().then_some(())
    })
    .await;
    let stopped = dev.get(&format!("/v1/workers/{}", old.as_str().unwrap())).await;
    assert_eq!(stopped["status"], "stopped");
    assert!(dev.pid_of(old.as_str().unwrap()).is_none(), "its process and folder are removed");

    let second = dev.send("c", "back again").await;
    assert_eq!(dev.message_in(&second, "done").await["reply"], "echo: back again");
    assert_ne!(dev.workers().await[0]["workerId"], old);
}

#[tokio::test]
async fn the_list_of_workers_shows_the_actions_and_errors_of_the_last_reconcile() {
    let dev = Dev::start(&["--no-workers"]).await;
    let before = dev.cli(&["workers", "list"]);
    assert!(before.status.success(), "{before:?}");
    dev.send("c", "hello").await;
    let last = eventually("a reconcile with a missing prerequisite", async || {
        let last = dev.get("/v1/workers").await["lastReconcile"].clone();
        last["actions"].as_array().is_some_and(|actions| !actions.is_empty()).then_some(last)
    })
    .await;
    let output = dev.cli(&["workers", "list"]);
    let (words, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let at = jiff::Timestamp::from_millisecond(last["at"].as_i64().unwrap()).unwrap();
    let at = at.strftime("%Y-%m-%d %H:%M:%SZ");
    assert!(words.contains(&format!("the last reconcile, at {at}:")), "{words}");
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
async fn a_dry_run_shows_the_planned_actions_and_changes_nothing() {
    let dev = Dev::start(&["--no-workers"]).await;
    dev.send("c", "hello").await;
    let plan = dev.cli(&["workers", "reconcile", "--dry-run"]);
    let plan = String::from_utf8(plan.stdout).unwrap();
    assert!(plan.contains("spawn") && plan.contains("planned") && plan.contains("has no owner"), "{plan}");
    assert!(dev.workers().await.is_empty());
}
