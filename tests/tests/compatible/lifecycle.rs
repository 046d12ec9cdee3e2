//! The lifecycle of a published image, in the order of its documentation. Each response is compared as a whole.

use af_domain::policy::Policies;
use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::{BOT_TOKEN, CONVERSATION, Image, World, sha256};

/// Deploys a skill and returns its files.
async fn deploy_skill(world: &World) -> Vec<(&'static str, &'static str)> {
    let files = [
        ("scripts/index.mjs", "export default () => 1;\n"),
        ("SKILL.md", "---\nname: hello\ndescription: Greets.\n---\n# Hello\n"),
    ];
    let sent: Vec<_> = files
        .iter()
        .map(
            |(path, content)| json!({"path": path, "content": content, "sha256": sha256(content.as_bytes())}),
        )
        .collect();
    let body = json!({"slug": "hello", "version": "1.0.0", "files": sent, "actor": "test"});
    world.api.post("/v1/skills", body).send().await.body_of(201);
    files.to_vec()
}

/// The manifest's only skill, computed from its files by the rules of the contract, without our code.
fn skill(files: &[(&str, &str)]) -> Value {
    let mut sorted = files.to_vec();
    sorted.sort_unstable();
    let parts: Vec<_> = sorted
        .iter()
        .map(|(path, content)| format!("{path}\n{}\n{content}", sha256(content.as_bytes())))
        .collect();
    let bundle = sha256(parts.join("\n---\n").as_bytes());
    let marker = format!(
        r#"{{"slug":"hello","version":"1.0.0","sha256":"{bundle}","managedBy":"agent-factory","entryPoint":"default","moduleFormat":"esm"}}"#
    );
    let file = |path: &str, content: &str| json!({"path": path, "content": content, "sha256": sha256(content.as_bytes())});
    let mut listed: Vec<_> = sorted.iter().map(|(path, content)| file(path, content)).collect();
    listed.push(file(".af-global-skill.json", &marker));
    json!({
        "slug": "hello", "version": "1.0.0", "moduleFormat": "esm", "entryPoint": "default", "sha256": bundle,
        "skillDirName": "hello", "files": listed,
    })
}

#[tokio::test]
async fn a_published_image_completes_its_lifecycle_unchanged() {
    let world = World::new().await;
    let files = deploy_skill(&world).await;
    world.enqueue(CONVERSATION, "telegram", "hello").await;
    let image = world.image("one", Some(CONVERSATION)).await;
    boot(&image, &files).await;
    let history = answer_message(&image).await;
    fail_and_retry(&image, &history).await;
    upload_and_end(&image).await;
}

/// The image looks for a snapshot to restore, and fetches its skills.
async fn boot(image: &Image<'_>, files: &[(&str, &str)]) {
    assert_eq!(image.latest().await, Value::Null);
    let args = json!({"workspaceId": "default", "workerId": "one", "releaseChannel": "stable"});
    let manifest = image.value("workerGlobalSkillsManifest", args).await;
    let expected = json!({
        "layoutVersion": "openclaw-workspace-skill-v1", "manifestVersion": manifest["manifestVersion"],
        "generatedAt": image.world.now(), "releaseChannel": "stable", "workspaceId": "default",
        "skills": [skill(files)],
    });
    assert_eq!(manifest, expected);
    assert_eq!(manifest["manifestVersion"].as_str().unwrap().len(), 64);
}

/// The loop of the image: control state, claim and bundle; then heartbeats, metadata, history and completion. Returns
/// the appended history.
async fn answer_message(image: &Image<'_>) -> Value {
    let world = image.world;
    assert_eq!(image.own("workerControlState", json!({})).await, json!({"shouldStop": false}));
    let job = image.claim().await;
    let payload = json!({
        "provider": "telegram", "providerUserId": "555", "messageText": "hello",
        "metadata": {"providerUserId": "555"}, "attachments": [],
    });
    let lease = Policies::default().lease.lease.as_millis();
    let expected = json!({
        "messageId": job["messageId"], "conversationId": CONVERSATION, "agentKey": "demo", "leaseId": job["leaseId"],
        "leaseExpiresAt": world.now() + lease, "payload": payload,
    });
    assert_eq!(job, expected);
    let wanted = json!({"messageId": job["messageId"], "workspaceId": "default"});
    let bundle = image.value("workerHydrationBundle", wanted).await;
    let expected = json!({
        "messageId": job["messageId"], "conversationId": CONVERSATION, "agentKey": "demo", "payload": payload,
        "conversationState": {"contextHistory": [], "pendingToolCalls": []},
        "telegramBotToken": BOT_TOKEN, "bridgeRuntimeConfig": null,
    });
    assert_eq!(bundle, expected);

    world.advance(Millis::from_secs(10));
    assert_eq!(image.of(&job, "workerHeartbeat", json!({})).await, true);
    let metadata = json!({"messageId": job["messageId"], "metadata": {"model": "m"}});
    assert_eq!(image.value("workerAttachMessageMetadata", metadata).await, true);
    let (asked, answered) = (world.now() - 5_000, world.now());
    let history = json!([
        {"role": "user", "content": "hello", "at": asked}, {"role": "assistant", "content": "good day", "at": answered},
    ]);
    assert_eq!(image.append(history.clone()).await, json!({"updated": true, "messageCount": 2}));
    assert_eq!(image.of(&job, "workerComplete", json!({})).await, true);
    let message = world.message(&job["messageId"]).await;
    assert_eq!((&message["status"], &message["reply"]), (&json!("done"), &json!("good day")));
    history
}

/// The bundle of the next message has the history. Its first attempt fails, and its retry is completed.
async fn fail_and_retry(image: &Image<'_>, history: &Value) {
    let world = image.world;
    world.enqueue(CONVERSATION, "telegram", "again").await;
    let job = image.claim().await;
    let wanted = json!({"messageId": job["messageId"], "workspaceId": "default"});
    let bundle = image.value("workerHydrationBundle", wanted).await;
    assert_eq!(bundle["conversationState"], json!({"contextHistory": history, "pendingToolCalls": []}));
    let failed = image.of(&job, "workerFail", json!({"errorMessage": "the model is down"})).await;
    let next = failed["nextScheduledFor"].as_u64().unwrap();
    assert_eq!(failed, json!({"requeued": true, "deadLettered": false, "nextScheduledFor": next}));
    assert!(next > world.now());
    let conversation = json!({"conversationId": CONVERSATION});
    assert_eq!(image.value("workerConversationHasQueued", conversation.clone()).await, true);
    assert_eq!(image.own("workerClaim", conversation.clone()).await, Value::Null);
    world.advance(Millis::new(next - world.now()));
    let job = image.claim().await;
    assert_eq!(image.of(&job, "workerComplete", json!({})).await, true);
    assert_eq!(image.value("workerConversationHasQueued", conversation).await, false);
}

/// The image uploads its files and ends, and the next image restores them.
async fn upload_and_end(image: &Image<'_>) {
    let world = image.world;
    let archive: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let prepared = image.prepare("signal").await;
    let created_at = world.now();
    let expected = json!({
        "snapshotId": prepared["snapshotId"], "expiresAt": created_at + 15 * 60 * 1_000,
        "uploadUrl": format!("{}/snapshots/{}", image.base, prepared["snapshotId"].as_str().unwrap()),
    });
    assert_eq!(prepared, expected);
    let posted = image.post(&prepared["uploadUrl"], archive.clone()).await;
    assert_eq!(posted, (200, json!({"storageId": prepared["snapshotId"]})));
    assert_eq!(image.finalize(&prepared, &archive).await, true);
    assert_eq!(world.worker_row("one").await["status"], "stopping");
    assert_eq!(image.own("workerControlState", json!({})).await, json!({"shouldStop": true}));

    world.enqueue(CONVERSATION, "telegram", "are you there?").await;
    let successor = world.image("two", Some(CONVERSATION)).await;
    let latest = successor.latest().await;
    let expected = json!({
        "snapshotId": prepared["snapshotId"], "downloadUrl": latest["downloadUrl"], "sha256": sha256(&archive),
        "sizeBytes": archive.len(), "createdAt": created_at,
    });
    assert_eq!(latest, expected);
    assert_eq!(successor.fetch(&latest["downloadUrl"]).await, (200, archive));
}
