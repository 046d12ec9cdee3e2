//! The workspace in bundles, and the edits that agents make in runs.

use af_domain::time::Millis;
use af_tests::calls::Answer;
use serde_json::{Value, json};

use crate::worker::{TestWorker, World};

const ANN: &str = "user-agent:demo:ann";
const OF_ANN: &str = "/v1/users/ann/agents/demo/documents";
const OF_AGENT: &str = "/v1/agents/demo/documents";

async fn put(world: &World, base: &str, path: &str, content: &str) {
    world.api.put(&format!("{base}/{path}"), json!({"content": content})).send().await.body_of(200);
}

/// The workspace that a worker gets with the next message of a conversation, which it completes.
async fn workspace(world: &World, worker: &TestWorker<'_>, conversation: &str, known: Value) -> Value {
    world.enqueue(conversation).await;
    let request = json!({"conversationId": conversation, "workspaceFingerprint": known});
    let polled = worker.poll(request).await;
    worker.complete(&polled["job"], json!({})).await.body_of(200);
    polled["bundle"]["workspace"].clone()
}

fn contents(workspace: &Value) -> Vec<(&str, &str)> {
    let list = |name: &str| workspace[name].as_array().unwrap().iter();
    let all = list("documents").chain(list("memoryWindow"));
    all.map(|d| (d["path"].as_str().unwrap(), d["content"].as_str().unwrap())).collect()
}

/// Sends edits, each as path, content and the text that it is based on.
async fn send(worker: &TestWorker<'_>, job: &Value, edits: &[(&str, &str, Option<&str>)]) -> Answer {
    let edit = |(path, content, base): &(&str, &str, Option<&str>)| {
        let base = base.map(|base| af_tests::world::sha256(base.as_bytes()));
        json!({"path": path, "content": content, "baseSha256": base})
    };
    let documents: Vec<_> = edits.iter().map(edit).collect();
    let body = json!({"leaseId": job["leaseId"], "fence": job["fence"], "documents": documents});
    worker.world.api.put("/v1/worker/documents", body).key(&worker.token).send().await
}

fn outcomes(answer: Answer) -> Vec<String> {
    let body = answer.body_of(200);
    let outcome = |document: &Value| document["outcome"].as_str().unwrap().to_owned();
    body["documents"].as_array().unwrap().iter().map(outcome).collect()
}

#[tokio::test]
async fn a_bundle_has_the_documents_of_the_agent_and_of_its_conversation_only() {
    let world = World::new().await;
    put(&world, OF_AGENT, "SOUL.md", "be kind").await;
    put(&world, OF_AGENT, "USER.md", "a person").await;
    put(&world, OF_AGENT, "memory/2025-12-31.md", "yesterday").await;
    put(&world, OF_AGENT, "memory/2025-12-01.md", "long ago").await;
    put(&world, OF_ANN, "USER.md", "ann").await;
    put(&world, OF_ANN, "memory/2026-01-01.md", "today").await;
    put(&world, "/v1/users/bob/agents/demo/documents", "USER.md", "bob").await;
    let worker = world.worker("w").await;
    let of_ann = workspace(&world, &worker, ANN, Value::Null).await;
    assert_eq!(
        contents(&of_ann),
        [
            ("SOUL.md", "be kind"),
            ("USER.md", "ann"),
            ("memory/2026-01-01.md", "today"),
            ("memory/2025-12-31.md", "yesterday")
        ]
    );
    assert_eq!(
        (&of_ann["memorySince"], &of_ann["documents"][0]["owner"]),
        (&json!("2025-12-26"), &json!("operator"))
    );
    let other = world.worker("other").await;
    let of_bob = workspace(&world, &other, "user-agent:demo:bob", Value::Null).await;
    assert!(
        contents(&of_bob).contains(&("USER.md", "bob")) && !of_bob.to_string().contains("ann"),
        "{of_bob}"
    );
    let third = world.worker("third").await;
    let of_group = workspace(&world, &third, "telegram:7:42", Value::Null).await;
    assert!(contents(&of_group).contains(&("USER.md", "a person")), "{of_group}");
}

#[tokio::test]
async fn a_worker_with_the_fingerprint_gets_the_documents_only_after_a_change() {
    let world = World::new().await;
    put(&world, OF_AGENT, "SOUL.md", "be kind").await;
    let worker = world.worker("w").await;
    let first = workspace(&world, &worker, ANN, Value::Null).await;
    let known = first["fingerprint"].clone();
    assert_eq!(workspace(&world, &worker, ANN, known.clone()).await, json!({"fingerprint": known}));
    put(&world, OF_AGENT, "SOUL.md", "be brief").await;
    let second = workspace(&world, &worker, ANN, known.clone()).await;
    assert_eq!(contents(&second), [("SOUL.md", "be brief")], "a change is in the next bundle");
    put(&world, OF_ANN, "USER.md", "ann").await;
    let third = workspace(&world, &worker, ANN, second["fingerprint"].clone()).await;
    assert_eq!(contents(&third), [("SOUL.md", "be brief"), ("USER.md", "ann")]);
    world.api.delete(&format!("{OF_ANN}/USER.md")).send().await.body_of(204);
    let fourth = workspace(&world, &worker, ANN, third["fingerprint"].clone()).await;
    assert_eq!(contents(&fourth), [("SOUL.md", "be brief")]);
    world.advance(Millis::from_days(1));
    let worker = world.worker("tomorrow").await;
    let next_day = workspace(&world, &worker, "telegram:7:42", fourth["fingerprint"].clone()).await;
    assert_eq!(next_day["memorySince"], "2025-12-27", "the window moves with the day");
}

#[tokio::test]
async fn a_document_that_does_not_fit_has_a_link_for_the_worker_that_runs_the_message() {
    let world = World::new().await;
    let policies = json!({"hydration": {"maxDocumentBytes": 1_024}});
    world.api.put("/v1/config/policies", policies).send().await.body_of(200);
    let large = "x".repeat(2_000);
    put(&world, OF_AGENT, "AGENTS.md", &large).await;
    put(&world, OF_AGENT, "SOUL.md", "be kind").await;
    world.advance(Millis::from_secs(61));
    world.enqueue(ANN).await;
    let worker = world.worker("w").await;
    let polled = worker.poll(json!({})).await;
    let [agents, soul] = [0, 1].map(|at| polled["bundle"]["workspace"]["documents"][at].clone());
    assert_eq!((&agents["content"], &soul["content"]), (&Value::Null, &json!("be kind")));
    let url = agents["downloadUrl"].as_str().unwrap();
    let path = url.split_once("/v1/worker/").unwrap().1;
    assert_eq!(worker.get(path).await.body_of(200)["content"], large.as_str());
    let other = world.worker("other").await;
    assert_eq!(other.get(path).await.problem(), (404, "not_found"));
    let missing = worker.get(&path.replace("AGENTS.md", "TOOLS.md")).await;
    assert_eq!(missing.problem(), (404, "not_found"));
}

#[tokio::test]
async fn edits_of_a_run_become_documents_of_its_conversation() {
    let world = World::new().await;
    put(&world, OF_AGENT, "MEMORY.md", "seed").await;
    put(&world, OF_AGENT, "SOUL.md", "be kind").await;
    let (worker, job) = world.busy_worker("w", ANN).await;
    let edits = [
        ("MEMORY.md", "seed, likes tea", Some("seed")),
        ("memory/2026-01-01.md", "met ann", None),
        ("SOUL.md", "be mean", Some("be kind")),
    ];
    let sent = outcomes(send(&worker, &job, &edits).await);
    assert_eq!(sent, ["stored", "stored", "operatorOwned"]);
    let sent = outcomes(send(&worker, &job, &edits).await);
    assert_eq!(sent, ["unchanged", "unchanged", "operatorOwned"], "the call may be repeated");
    worker.complete(&job, json!({})).await.body_of(200);
    let shown = world.api.get(&format!("{OF_ANN}/MEMORY.md")).send().await.body_of(200);
    assert_eq!(
        (&shown["content"], &shown["updatedBy"], &shown["version"]),
        (&json!("seed, likes tea"), &json!("worker:w"), &json!(1))
    );
    assert_eq!(world.api.get(&format!("{OF_AGENT}/MEMORY.md")).send().await.body_of(200)["content"], "seed");
    let next = workspace(&world, &worker, ANN, Value::Null).await;
    assert_eq!(
        contents(&next),
        [("MEMORY.md", "seed, likes tea"), ("SOUL.md", "be kind"), ("memory/2026-01-01.md", "met ann")]
    );
    let other = world.worker("other").await;
    let of_bob = workspace(&world, &other, "user-agent:demo:bob", Value::Null).await;
    assert_eq!(contents(&of_bob), [("MEMORY.md", "seed"), ("SOUL.md", "be kind")]);
}

#[tokio::test]
pub async fn an_edit_beside_a_run_stays_and_the_text_of_the_agent_is_a_version() {
    let world = World::new().await;
    put(&world, OF_ANN, "MEMORY.md", "before").await;
    let (worker, job) = world.busy_worker("w", ANN).await;
    put(&world, OF_ANN, "MEMORY.md", "by the operator").await;
    let sent = send(&worker, &job, &[("MEMORY.md", "by the agent", Some("before"))]).await;
    assert_eq!(outcomes(sent), ["conflict"]);
    let shown = world.api.get(&format!("{OF_ANN}/MEMORY.md")).send().await.body_of(200);
    assert_eq!((&shown["content"], &shown["version"]), (&json!("by the operator"), &json!(4)));
    let third = world.api.get(&format!("{OF_ANN}/MEMORY.md?version=3")).send().await.body_of(200);
    assert_eq!((&third["content"], &third["updatedBy"]), (&json!("by the agent"), &json!("worker:w")));
}

#[tokio::test]
async fn a_worker_without_the_lease_changes_no_document() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", ANN).await;
    let edits = [("MEMORY.md", "late", None)];
    let other = world.worker("other").await;
    let before = world.items().await;
    assert_eq!(send(&other, &job, &edits).await.problem(), (409, "stale_lease"));
    let changed = world.items().await;
    let documents = |items: &[Value]| items.iter().filter(|item| item["dp"].is_object()).count();
    assert_eq!((documents(&before), documents(&changed)), (0, 0));
    worker.complete(&job, json!({})).await.body_of(200);
    assert_eq!(send(&worker, &job, &edits).await.problem(), (409, "stale_lease"));
    assert_eq!(documents(&world.items().await), 0);
    let wrong_fence = json!({"leaseId": job["leaseId"], "fence": 99, "documents": []});
    let answer = world.api.put("/v1/worker/documents", wrong_fence).key(&worker.token).send().await;
    assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/fence"));
}

#[tokio::test]
async fn edits_of_a_run_over_a_limit_are_refused_together() {
    let world = World::new().await;
    let (worker, job) = world.busy_worker("w", ANN).await;
    let long = "x".repeat(65_537);
    let answer = send(&worker, &job, &[("USER.md", "ann", None), ("MEMORY.md", &long, None)]).await;
    assert_eq!((answer.problem(), answer.pointer()), ((413, "payload_too_large"), "/documents/1/content"));
    let twice = send(&worker, &job, &[("USER.md", "ann", None), ("USER.md", "bob", None)]).await;
    assert_eq!((twice.problem(), twice.pointer()), ((422, "invalid_field"), "/documents/1/path"));
    let bad = send(&worker, &job, &[("README.md", "x", None)]).await;
    assert_eq!((bad.problem(), bad.pointer()), ((422, "invalid_field"), "/documents/0/path"));
    let many: Vec<_> = (1..=17).map(|day| format!("memory/2026-01-{day:02}.md")).collect();
    let many: Vec<_> = many.iter().map(|path| (path.as_str(), "x", None)).collect();
    let answer = send(&worker, &job, &many).await;
    assert_eq!((answer.problem(), answer.pointer()), ((422, "invalid_field"), "/documents"));
    let listed = world.api.get(OF_ANN).send().await.body_of(200);
    assert_eq!(listed["items"], json!([]));
    assert_eq!(outcomes(send(&worker, &job, &many[..16]).await).len(), 16, "the largest call fits");
}
