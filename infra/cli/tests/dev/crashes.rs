//! Crashes of real processes while they run a message.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::support::{Dev, eventually};

/// Longer than a lease, and shorter than the silence after which a worker is stale.
const PAST_THE_LEASE: Duration = Duration::from_secs(95);

/// An agent that hangs on its first message until it is killed or released, and answers all other messages.
fn agent_that_hangs_once(dir: &Path) -> PathBuf {
    let program = dir.join("agent.sh");
    let dir = dir.display();
    let script = format!(
        "#!/bin/sh\ncat > /dev/null\nif mkdir {dir}/hung 2> /dev/null; then\n  while [ ! -e {dir}/release ]; do sleep 0.05; done\nfi\necho answered\n"
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

async fn dev_with_hanging_agent() -> (tempfile::TempDir, Dev) {
    let dir = tempfile::tempdir().unwrap();
    let program = agent_that_hangs_once(dir.path());
    let dev = Dev::start(&["--agent-command", program.to_str().unwrap()]).await;
    (dir, dev)
}

async fn until_it_hangs(dir: &tempfile::TempDir) {
    let mark = dir.path().join("hung");
    eventually("the hang of the agent", async || mark.exists().then_some(())).await;
}

#[tokio::test]
async fn a_message_of_a_killed_worker_is_completed_by_another_worker_after_the_lease() {
    let (dir, dev) = dev_with_hanging_agent().await;
    let id = dev.send("c", "work").await;
    until_it_hangs(&dir).await;
    let first = dev.workers().await[0]["workerId"].as_str().unwrap().to_owned();
    kill_process(dev.pid_of(&first).unwrap(), Signal::KILL).unwrap();
    dev.advance(PAST_THE_LEASE).await;
    eventually("the end of the message", async || {
        // The retry waits for its backoff, and the conversation waits for a worker.
        dev.advance(Duration::from_secs(5)).await;
        (dev.message(&id).await["status"] == "done").then_some(())
    })
    .await;
    let message = dev.message(&id).await;
    assert_eq!(
        (message["attempts"].as_u64(), message["reply"].as_str()),
        (Some(2), Some("answered")),
        "{message}"
    );
    assert!(message["lastError"].as_str().unwrap().contains(&first), "{message}");
    assert!(dev.workers().await.iter().all(|w| w["workerId"] != first.as_str()), "the killed worker is gone");
}

#[tokio::test]
async fn late_calls_of_a_frozen_worker_are_refused_by_the_fence() {
    let (dir, dev) = dev_with_hanging_agent().await;
    let id = dev.send("c", "work").await;
    until_it_hangs(&dir).await;
    let frozen = dev.workers().await[0]["workerId"].as_str().unwrap().to_owned();
    let pid = dev.pid_of(&frozen).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    // The frozen worker also becomes stale, so it loses its conversation.
    dev.advance(Duration::from_secs(125)).await;
    eventually("the completion by another worker", async || {
        dev.advance(Duration::from_secs(5)).await;
        (dev.message(&id).await["status"] == "done").then_some(())
    })
    .await;
    let finished = dev.message(&id).await;
    // The frozen worker resumes and its agent answers, but its lease has ended.
    fs::write(dir.path().join("release"), "").unwrap();
    let _ = kill_process(pid, Signal::CONT);
    eventually("the end of the frozen worker", async || dev.pid_of(&frozen).is_none_or(gone).then_some(()))
        .await;
    let after = dev.message(&id).await;
    assert_eq!((&after["finishedAt"], &after["attempts"]), (&finished["finishedAt"], &finished["attempts"]));
    let next = dev.send("c", "next").await;
    dev.message_in(&next, "done").await;
}

fn gone(pid: rustix::process::Pid) -> bool {
    rustix::process::test_kill_process(pid).is_err()
}

#[tokio::test]
async fn a_late_call_under_an_old_lease_changes_nothing_and_gets_409() {
    let dev = Dev::start(&["--no-workers"]).await;
    let id = dev.send("c", "work").await;
    let worker = async |name: &str| {
        let (status, answer) = dev.call("POST", "/v1/workers", Some(json!({"workerId": name}))).await;
        assert_eq!(status, 201, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    };
    let http = reqwest::Client::new();
    let url = dev.file["url"].as_str().unwrap().to_owned();
    let post = async |token: &str, path: &str, body: serde_json::Value| {
        let answer = http.post(format!("{url}{path}")).bearer_auth(token).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    let old = worker("w-old").await;
    let (_, polled) = post(&old, "/v1/worker/poll", json!({})).await;
    let lease = json!({"leaseId": polled["job"]["leaseId"], "fence": polled["job"]["fence"]});
    dev.advance(Duration::from_secs(125)).await;
    let new = worker("w-new").await;
    let job = eventually("the new worker's claim", async || {
        dev.advance(Duration::from_secs(2)).await;
        let (_, polled) = post(&new, "/v1/worker/poll", json!({})).await;
        (!polled["job"].is_null()).then(|| polled["job"].clone())
    })
    .await;
    assert_eq!((&job["messageId"], &job["attempt"]), (&json!(id), &json!(2)));
    let path = format!("/v1/worker/messages/{id}");
    let (status, beat) = post(&old, &format!("{path}/heartbeat"), lease.clone()).await;
    assert_eq!((status, &beat["held"]), (200, &json!(false)));
    let mut complete = lease.clone();
    complete["reply"] = json!({"text": "too late"});
    let (status, refused) = post(&old, &format!("{path}/complete"), complete).await;
    assert_eq!((status, &refused["code"]), (409, &json!("stale_lease")), "{refused}");
    let mut fail = lease;
    fail["errorMessage"] = json!("too late");
    let (status, _) = post(&old, &format!("{path}/fail"), fail).await;
    assert_eq!(status, 409);
    let held = json!({"leaseId": job["leaseId"], "fence": job["fence"], "reply": {"text": "in time"}});
    let (status, _) = post(&new, &format!("{path}/complete"), held).await;
    assert_eq!(status, 200);
    assert_eq!(dev.message(&id).await["reply"], "in time");
}

#[tokio::test]
async fn a_killed_dev_continues_its_messages_after_a_restart() {
    let (dir, mut dev) = dev_with_hanging_agent().await;
    let demo = dev.file["demo"].clone();
    let chat = demo["chatId"].as_str().unwrap();
    let arrives = json!({"botIdentity": demo["botIdentity"], "chatId": chat, "userId": chat, "text": "work"});
    dev.call("POST", "/_local/telegram/messages", Some(arrives)).await;
    until_it_hangs(&dir).await;
    let queued = dev.send("other", "waits").await;
    let worker = dev.workers().await[0]["workerId"].clone();
    dev.crash_and_restart().await;
    fs::write(dir.path().join("release"), "").unwrap();
    eventually("the answer", async || (!dev.outbox(chat).await.is_empty()).then_some(())).await;
    dev.message_in(&queued, "done").await;
    let list = "/v1/queue/messages?conversationId=user-agent%3Ademo%3Ademo-user";
    let messages = dev.get(list).await;
    let message = &messages["items"][0];
    assert_eq!(messages["items"].as_array().unwrap().len(), 1, "{messages}");
    let id = message["messageId"].as_str().unwrap();
    let done = dev.message_in(id, "done").await;
    assert_eq!(done["attempts"], 1, "the same worker has completed it after the restart: {done}");
    assert!(dev.workers().await.iter().any(|w| w["workerId"] == worker), "the worker is still active");
    assert_eq!(dev.outbox(chat).await, ["answered"]);
}
