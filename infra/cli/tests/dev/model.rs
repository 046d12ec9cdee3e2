//! The engine `openai` with the emulator of a model, as the README describes it.

use std::os::unix::fs::PermissionsExt;

use af_emulator_model::{Answer, ModelEmulator};
use serde_json::Value;

use crate::support::Dev;

const KEY: &str = "sk-model-key-of-a-test";

/// A `dev` whose workers ask the emulator.
async fn dev(model: &ModelEmulator) -> Dev {
    let (url, _) = model.serve(0).await.unwrap();
    let (key, url) = (format!("OPENAI_API_KEY={KEY}"), format!("OPENAI_BASE_URL={url}"));
    Dev::start(&["--engine", "openai", "--model", "small-1", "--worker-env", &key, "--worker-env", &url])
        .await
}

fn roles(request: &Value) -> Vec<(&str, &str)> {
    let messages = request["messages"].as_array().unwrap();
    messages.iter().map(|m| (m["role"].as_str().unwrap(), m["content"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_model_answers_with_the_history_and_its_key_is_in_no_list_and_no_readable_file() {
    let model = ModelEmulator::default();
    let mut dev = dev(&model).await;
    model.script([Answer::Status { status: 429, retry_after_s: Some(0), message: "slow down".to_owned() }]);
    for (text, reply) in [("hello", "model: hello"), ("and again", "model: and again")] {
        let id = dev.send("c1", text).await;
        let message = dev.message_in(&id, "done").await;
        assert_eq!(message["reply"], reply, "{message}");
    }
    let requests = model.requests();
    assert_eq!(requests.len(), 3, "the busy model is asked again");
    assert!(requests.iter().all(|request| request.key.as_deref() == Some(KEY)));
    assert_eq!(
        roles(&requests[2].body),
        [("user", "hello"), ("assistant", "model: hello"), ("user", "and again")]
    );
    let user = |at: usize| requests[at].body["user"].clone();
    assert!(user(0).is_string() && user(1) == user(2), "one conversation is one user");
    assert!(requests[2].body.get("tools").is_none());

    let lists = [dev.get("/v1/config/provider").await, dev.get("/v1/workers").await];
    assert!(lists.iter().all(|list| !list.to_string().contains(KEY)));
    let kept = dev.data().join("worker-env.json");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    for file in walk(&dev.data()).into_iter().filter(|file| *file != kept) {
        let content = std::fs::read(&file).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&content).contains(KEY), "{}", file.display());
    }
    assert!(dev.stop().success());
}

#[tokio::test]
async fn a_model_that_fails_in_its_stream_is_asked_again_and_a_refusal_is_a_dead_letter() {
    let model = ModelEmulator::default();
    let dev = dev(&model).await;
    model.script([
        Answer::BrokenStream { text: "half a".to_owned() },
        Answer::Status { status: 500, retry_after_s: Some(0), message: "broken".to_owned() },
    ]);
    let id = dev.send("c1", "hello").await;
    dev.message_in(&id, "done").await;
    assert_eq!(model.requests().len(), 3);
    model.script([Answer::Status { status: 401, retry_after_s: None, message: format!("wrong key {KEY}") }]);
    let id = dev.send("c1", "with a wrong key").await;
    let dead = dev.message_in(&id, "dead_letter").await;
    assert!(dead["lastError"].as_str().unwrap().contains("401"), "{dead}");
    assert!(!dead.to_string().contains(KEY), "{dead}");
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let each = |entry: std::fs::DirEntry| {
        if entry.path().is_dir() { walk(&entry.path()) } else { vec![entry.path()] }
    };
    entries.flat_map(each).collect()
}
