//! `dev --provider fly`: workers are machines of the Fly emulator, which run the reference worker.

use std::time::Duration;

use serde_json::json;

use crate::support::{Dev, eventually};

const APP: &str = "/_local/fly/apps/agent-factory";

#[tokio::test]
async fn a_machine_answers_a_message_and_is_removed_after_the_idle_timeout() {
    let dev = Dev::start(&["--provider", "fly"]).await;
    let said = dev.cli(&["chat", "demo", "hello"]);
    assert_eq!(String::from_utf8_lossy(&said.stdout), "echo: hello\n", "{said:?}");
    let workers = dev.workers().await;
    let app = dev.get(APP).await;
    let machine = &app["machines"][0];
    assert_eq!((&workers[0]["provider"], &workers[0]["workerId"]), (&json!("fly"), &machine["name"]));
    assert_eq!((&workers[0]["machine"]["machineId"], &machine["state"]), (&machine["id"], &json!("started")));
    assert_eq!(machine["metadata"]["agent_factory_deployment"], "dev-000000000000-local");
    assert_eq!(app["volumes"][0]["attachedMachineId"], machine["id"]);

    dev.advance(Duration::from_secs(31 * 60)).await;
    eventually("the removal of the machine and its volume", async || {
        dev.advance(Duration::from_secs(60)).await;
        let app = dev.get(APP).await;
        (app["machines"] == json!([]) && app["volumes"] == json!([])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_restarted_dev_finds_its_machine_after_a_crash() {
    let mut dev = Dev::start(&["--provider", "fly"]).await;
    let said = dev.cli(&["chat", "demo", "hello"]);
    assert_eq!(String::from_utf8_lossy(&said.stdout), "echo: hello\n", "{said:?}");
    let before = dev.get(APP).await["machines"].clone();
    dev.crash_and_restart().await;
    assert_eq!(dev.get(APP).await["machines"], before);
    let said = dev.cli(&["chat", "demo", "again"]);
    assert_eq!(String::from_utf8_lossy(&said.stdout), "echo: again\n", "{said:?}");
    assert_eq!(dev.get(APP).await["machines"], before, "the same machine answered");
}

#[tokio::test]
async fn a_cleanup_of_the_app_needs_a_confirmation() {
    let dev = Dev::start(&["--provider", "fly"]).await;
    dev.cli(&["chat", "demo", "hello"]);
    let status = dev.cli(&["provider", "status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(
        (&status["ready"], &status["machines"], &status["volumes"]),
        (&json!(true), &json!(1), &json!(1))
    );
    let body = json!({"appName": "agent-factory", "confirm": "yes"});
    let (refused, problem) = dev.call("POST", "/v1/provider/cleanup", Some(body)).await;
    assert_eq!((refused, &problem["errors"][0]["pointer"]), (422, &json!("/confirm")));
    let cleared = dev.cli(&["provider", "cleanup", "--confirm", "agent-factory"]);
    assert!(cleared.status.success(), "{cleared:?}");
    assert_eq!(dev.get(APP).await["volumes"], json!([]));
}
