//! Push jobs and broadcasts with a running `dev`: its schedule dispatches them, and the program shows them.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Dev, eventually};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_push_job_runs_by_the_schedule_and_its_reply_reaches_the_chat_of_its_user() {
    let dev = Dev::start(&[]).await;
    let demo = dev.file["demo"].clone();
    let (user, agent) = (demo["consumerUserId"].as_str().unwrap(), demo["agentKey"].as_str().unwrap());
    let chat = demo["chatId"].as_str().unwrap();
    let words = ["--zone", "Europe/Rome", "--title", "Morning", "--text", "due"];
    let made = dev.json(&[&["push", "jobs", "create", user, agent, "daily 09:30"][..], &words].concat());
    let id = made["pushJobId"].as_str().unwrap();
    dev.advance(DAY).await;
    eventually("the reply", async || (dev.outbox(chat).await == ["echo: due"]).then_some(())).await;
    let listed = dev.printed(&["push", "dispatches", "--job", id]);
    assert!(listed.contains(&format!("scheduled:{id}")) && listed.contains("enqueued"), "{listed}");
    let shown = dev.printed(&["push", "jobs", "show", user, agent, id]);
    assert!(shown.contains("daily 09:30") && shown.contains("next run"), "{shown}");

    let triggered = dev.printed(&["push", "jobs", "trigger", user, agent, id]);
    assert!(triggered.contains("push:manual:"), "{triggered}");
    let disabled = dev.json(&["push", "jobs", "disable", user, agent, id]);
    assert_eq!((&disabled["enabled"], &disabled["nextRunAt"]), (&Value::Bool(false), &Value::Null));
    let enabled = dev.json(&["push", "jobs", "enable", user, agent, id]);
    assert!(enabled["nextRunAt"].is_u64());
    assert!(dev.printed(&["push", "jobs", "list", "--user", user, "--agent", agent]).contains(id));
    assert!(dev.printed(&["push", "jobs", "list"]).contains(id));
    dev.printed(&["push", "jobs", "delete", user, agent, id, "--yes"]);
    assert_eq!(dev.cli(&["push", "jobs", "show", user, agent, id]).status.code(), Some(3));
    let refused =
        dev.cli(&["push", "jobs", "create", user, agent, "*/5 * * * *", "--title", "t", "--text", "t"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("by the minute"), "{refused:?}");
}

#[tokio::test]
async fn a_template_and_a_broadcast_are_used_with_the_program() {
    let dev = Dev::start(&[]).await;
    let demo = dev.file["demo"].clone();
    let (user, agent) = (demo["consumerUserId"].as_str().unwrap(), demo["agentKey"].as_str().unwrap());
    let create = ["push", "templates", "create", "morning", "--company", "acme", "--title", "Morning"];
    dev.printed(&[&create[..], &["--text", "due", "--time", "daily 09:30"]].concat());
    let listed = dev.printed(&["push", "templates", "list", "--company", "acme"]);
    assert!(listed.contains("acme:morning") && listed.contains("daily 09:30"), "{listed}");
    let from_template = ["--template", "acme:morning", "--company", "acme", "--zone", "UTC"];
    let made = dev.json(&[&["push", "jobs", "create", user, agent][..], &from_template].concat());
    assert_eq!(made["title"], "Morning");
    dev.printed(&["push", "templates", "delete", "morning", "--company", "acme", "--yes"]);

    let sent = dev.json(&["broadcast", "send", "--title", "News", "--text", "We have moved."]);
    let id = sent["broadcastId"].as_str().unwrap();
    dev.printed(&["push", "run"]);
    let done = dev.json(&["broadcast", "show", id, "--wait"]);
    assert_eq!(done["status"], "done");
    assert_eq!((&done["enqueuedCount"], &done["failedCount"]), (&done["totalTargets"], &Value::from(0)));
    assert!(dev.printed(&["broadcast", "list"]).contains(id));
    assert!(dev.printed(&["push", "dispatches", "--broadcast", id]).contains("enqueued"));
    let cancelled = dev.cli(&["broadcast", "cancel", id]);
    assert!(!cancelled.status.success() && String::from_utf8_lossy(&cancelled.stderr).contains("has ended"));
}
