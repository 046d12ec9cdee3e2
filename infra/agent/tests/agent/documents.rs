//! Workspace documents: on the disk of a worker, in its calls, and in the prompt.

use std::path::Path;

use af_agent::{Exit, run};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::command::script;
use crate::support::{Answer, Fake, MODEL_KEY, PATIENCE, config, job, never, ok, problem};

fn sha256(text: &str) -> String {
    af_domain::skill::bundle::sha256(text.as_bytes()).to_string()
}

fn document(path: &str, owner: &str, content: &str) -> Value {
    json!({"path": path, "owner": owner, "sha256": sha256(content), "content": content})
}

fn workspace(fingerprint: &str, documents: Value) -> Value {
    json!({"fingerprint": fingerprint, "documents": documents, "memoryWindow": [], "memorySince": "2025-12-26"})
}

/// The answer to a poll: a message of always the same conversation, with this workspace.
fn job_with(message: &str, workspace: Value) -> Answer {
    let Answer::Json(status, mut body) = job(message, "hello") else { unreachable!() };
    body["bundle"]["workspace"] = workspace;
    for part in ["job", "bundle"] {
        body[part]["conversationId"] = json!("talk");
    }
    Answer::Json(status, body)
}

fn stored(count: usize) -> Answer {
    let outcome = json!({"path": "MEMORY.md", "outcome": "stored"});
    ok(json!({"documents": vec![outcome; count]}))
}

/// Runs a worker with this script as its engine until the fake stops it.
async fn work(fake: &Fake, folder: &TempDir, text: &str) {
    let program = script(folder.path(), text);
    let url = fake.serve().await;
    let config = config(
        &url,
        &[
            ("AGENT_FACTORY_ENGINE", "command"),
            ("AGENT_FACTORY_COMMAND", program.to_str().unwrap()),
            ("AGENT_FACTORY_DATA_DIR", folder.path().join("data").to_str().unwrap()),
        ],
    );
    let end = timeout(PATIENCE, run(config, never())).await.expect("the worker ends in time");
    assert_eq!(end.unwrap(), Exit::Stopped);
}

/// Prints two documents, and edits them.
const AGENT: &str = "cat >/dev/null; cd \"$OPENCLAW_WORKSPACE_DIR\"; cat SOUL.md MEMORY.md
echo ' mean' >SOUL.md; printf ', tea' >>MEMORY.md";

fn replies(fake: &Fake) -> Vec<Value> {
    fake.bodies("complete").into_iter().map(|body| body["reply"]["text"].clone()).collect()
}

fn documents() -> Value {
    json!([document("MEMORY.md", "agent", "likes"), document("SOUL.md", "operator", "kind ")])
}

#[tokio::test]
async fn edits_of_the_agent_are_sent_and_edits_of_the_operators_documents_are_put_back_and_reported() {
    let (fake, folder) = (Fake::default(), tempfile::tempdir().unwrap());
    fake.script("poll", [job_with("m1", workspace("f1", documents()))]);
    fake.script("documents", [problem(503, "unavailable"), stored(1)]);
    work(&fake, &folder, AGENT).await;
    assert_eq!(replies(&fake), ["kind likes"]);
    let sent = fake.bodies("documents");
    let edit = json!({"path": "MEMORY.md", "content": "likes, tea", "baseSha256": sha256("likes")});
    assert_eq!(sent, vec![json!({"leaseId": "lease-of-m1", "fence": 3, "documents": [edit]}); 2]);
    let complete = &fake.bodies("complete")[0];
    assert_eq!(complete["metadata"], json!({"documentsPutBack": "SOUL.md"}));
    let names = fake.names();
    let at = |name: &str| names.iter().rposition(|called| called == name);
    assert!(at("documents") < at("complete"), "the lease is still in force: {names:?}");
}

#[tokio::test]
async fn a_worker_that_has_the_workspace_gets_its_fingerprint_alone() {
    let (fake, folder) = (Fake::default(), tempfile::tempdir().unwrap());
    let unchanged = job_with("m2", json!({"fingerprint": "f1"}));
    let changed = json!([document("MEMORY.md", "agent", "new"), document("SOUL.md", "operator", "calm ")]);
    fake.script("poll", [job_with("m1", workspace("f1", documents())), unchanged]);
    fake.script("poll", [job_with("m3", workspace("f2", changed))]);
    fake.script("documents", (0..3).map(|_| stored(1)));
    let agent = "grep -q '\"path\":\"SOUL.md\"' || exit 1; cat workspace/SOUL.md workspace/MEMORY.md";
    work(&fake, &folder, agent).await;
    assert_eq!(
        replies(&fake),
        ["kind likes", "kind likes", "calm new"],
        "the program finds them on stdin, too"
    );
    let known: Vec<_> = fake.bodies("poll").iter().map(|poll| poll["workspaceFingerprint"].clone()).collect();
    assert_eq!(known, [Value::Null, json!("f1"), json!("f1"), json!("f2")]);
    assert_eq!(fake.count("documents"), 0, "nothing was edited");
}

#[tokio::test]
async fn documents_that_are_refused_do_not_fail_the_message() {
    let (fake, folder) = (Fake::default(), tempfile::tempdir().unwrap());
    fake.script("poll", [job_with("m1", workspace("f1", documents()))]);
    fake.script("poll", [job_with("m2", json!({"fingerprint": "f1"}))]);
    fake.script("documents", [problem(413, "payload_too_large"), stored(1)]);
    work(&fake, &folder, AGENT).await;
    assert_eq!(replies(&fake), ["kind likes", "kind likes, tea"]);
    let second = &fake.bodies("documents")[1]["documents"][0];
    assert_eq!(second["content"], "likes, tea, tea", "the edit is sent after the next run");
    assert_eq!(second["baseSha256"], sha256("likes"));
}

#[tokio::test]
async fn a_document_with_a_link_is_loaded_before_the_run() {
    let (fake, folder) = (Fake::default(), tempfile::tempdir().unwrap());
    let mut soul = document("SOUL.md", "operator", "kind ");
    soul.as_object_mut().unwrap().remove("content");
    soul["downloadUrl"] = json!("http://elsewhere.example/documents");
    let linked = json!([document("MEMORY.md", "agent", "likes"), soul]);
    fake.script("poll", [job_with("m1", workspace("f1", linked))]);
    let loaded = json!({
        "path": "SOUL.md", "owner": "operator", "sizeBytes": 5, "version": 1, "updatedAt": 1, "updatedBy": "key:a",
        "deleted": false, "content": "kind ",
    });
    fake.script("documents", [problem(503, "unavailable"), ok(loaded)]);
    work(&fake, &folder, "cat >/dev/null; cat workspace/SOUL.md workspace/MEMORY.md").await;
    assert_eq!(replies(&fake), ["kind likes"], "the token goes to the deployment only");
}

#[tokio::test]
async fn a_bundle_without_a_workspace_changes_no_file() {
    let (fake, folder) = (Fake::default(), tempfile::tempdir().unwrap());
    fake.script("poll", [job("m1", "hello")]);
    work(&fake, &folder, "cat >/dev/null; mkdir workspace; echo mine >workspace/MEMORY.md; echo done").await;
    assert_eq!((fake.count("documents"), replies(&fake)), (0, vec![json!("done")]));
    assert!(!Path::new(&folder.path().join("data/workspace/.af-documents.json")).exists());
}

#[tokio::test(start_paused = true)]
async fn the_documents_are_the_system_message_of_a_model_and_a_change_is_in_the_next_one() {
    let fake = Fake::default();
    fake.script("poll", [job_with("m1", workspace("f1", documents()))]);
    let changed = json!([document("MEMORY.md", "agent", "likes"), document("SOUL.md", "operator", "calm")]);
    fake.script("poll", [job_with("m2", workspace("f2", changed))]);
    let answer =
        json!({"choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]});
    fake.script("completions", [ok(answer.clone()), ok(answer)]);
    let url = fake.serve().await;
    let model = [
        ("AGENT_FACTORY_ENGINE", "openai"),
        ("OPENAI_BASE_URL", &*format!("{url}/model/v1/")),
        ("OPENCLAW_AGENT_MODEL", "small-1"),
        ("OPENAI_API_KEY", MODEL_KEY),
    ];
    assert_eq!(run(config(&url, &model), never()).await.unwrap(), Exit::Stopped);
    let asked = fake.bodies("completions");
    let first = |at: usize| asked[at]["messages"][0].clone();
    let system = |soul: &str| json!({"role": "system", "content": format!("# SOUL.md\n\n{soul}\n\n# MEMORY.md\n\nlikes")});
    assert_eq!((first(0), first(1)), (system("kind"), system("calm")));
}
