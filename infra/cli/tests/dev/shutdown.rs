//! The orderly end of `dev`, and its log.

use std::fs;
use std::process::Stdio;

use serde_json::json;

use crate::support::{Dev, eventually};

#[tokio::test]
async fn a_stopped_dev_leaves_no_worker_behind_while_messages_arrive() {
    let mut dev = Dev::start(&[]).await;
    let first = dev.send("c", "hello").await;
    dev.message_in(&first, "done").await;
    assert_eq!(dev.worker_processes().len(), 1);
    // Each conversation wants a worker of its own, so reconcile starts workers while `dev` stops.
    for n in 0..6 {
        dev.send(&format!("c-{n}"), "/sleep 200").await;
    }
    assert!(dev.stop().success());
    assert_eq!(dev.worker_processes(), [], "no worker is left");
    assert!(!dev.data().join("dev.json").exists());
}

#[tokio::test]
async fn trace_never_logs_secrets() {
    let dev = Dev::start_traced(&[]).await;
    let value = "a-secret-value-of-an-agent-0123456789";
    let (status, _) =
        dev.call("PUT", "/v1/secrets/model.apiKey", Some(json!({"plaintextValue": value}))).await;
    assert_eq!(status, 200);
    let demo = &dev.file["demo"];
    let chat = demo["chatId"].as_str().unwrap();
    let arrives = json!({"botIdentity": demo["botIdentity"], "chatId": chat, "userId": chat, "text": "hi"});
    dev.call("POST", "/_local/telegram/messages", Some(arrives)).await;
    eventually("the reply", async || (!dev.outbox(chat).await.is_empty()).then_some(())).await;

    let key = dev.file["adminKey"].as_str().unwrap().to_owned();
    let stored = fs::read_to_string(dev.data().join("secrets.json")).unwrap();
    let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
    let mut secrets = vec![key, dev.file["awsSecretAccessKey"].as_str().unwrap().to_owned()];
    for secret in stored["secrets"].as_object().unwrap().values() {
        let versions = secret["versions"].as_object().unwrap().values();
        secrets.extend(versions.map(|version| version["secret_string"].as_str().unwrap().to_owned()));
    }
    assert!(secrets.len() >= 5 && secrets.iter().any(|secret| secret == value), "{}", secrets.len());
    let log = fs::read_to_string(dev.data().with_extension("log")).unwrap();
    assert!(log.contains("request answered"), "the log is on: {}", log.len());
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "a secret is in the log");
    }
    assert!(!log.contains("afw_"), "the token of a worker is in the log");
}

#[tokio::test]
async fn without_workers_the_reason_says_so() {
    let dev = Dev::start(&["--no-workers"]).await;
    let status = dev.cli(&["provider", "status"]);
    let shown = String::from_utf8(status.stdout).unwrap();
    assert!(shown.contains("--no-workers") && !shown.contains("not available"), "{shown}");
    let quiet = dev.command(&["provider", "status"]).stdout(Stdio::null()).status().unwrap();
    assert!(quiet.success());
}
