//! Random calls of the compatible contract: each gets an answer that images understand, and none causes a panic.
//!
//! `FUZZ_INPUTS=1000000 cargo test -p af-tests --release --test compatible fuzz` tries more than the few of every test run.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};

use crate::{CONVERSATION, World};

/// How many inputs the test tries without `FUZZ_INPUTS`.
const INPUTS: usize = 200;
/// How many calls one deployment gets, whose table is in memory.
const CALLS_OF_A_WORLD: usize = 1_000;
const FUNCTIONS: [&str; 17] = [
    "workerControlState",
    "workerClaim",
    "workerHydrationBundle",
    "workerHeartbeat",
    "workerComplete",
    "workerFail",
    "workerConversationHasQueued",
    "workerAppendConversationMessages",
    "workerAttachMessageMetadata",
    "workerPrepareSnapshotUpload",
    "workerFinalizeSnapshotUpload",
    "workerFailSnapshotUpload",
    "workerLatestSnapshotForRestore",
    "workerGenerateMediaUploadUrl",
    "workerGetStorageFileUrl",
    "workerGlobalSkillsManifest",
    "",
];
const ARGUMENTS: [&str; 15] = [
    "workerId",
    "messageId",
    "leaseId",
    "conversationId",
    "errorMessage",
    "messages",
    "metadata",
    "reason",
    "snapshotId",
    "storageId",
    "sha256",
    "sizeBytes",
    "releaseChannel",
    "error",
    "unknown",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let name =
            prop_oneof![select(vec!["role", "content", "at"]).prop_map(str::to_owned), any::<String>()];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// The body of a call, valid but for some arguments of any value, some bytes, and one lone surrogate.
fn body(job: &Value) -> impl Strategy<Value = Vec<u8>> + use<> {
    let valid = json!({
        "workerId": "w", "messageId": job["messageId"], "leaseId": job["leaseId"], "conversationId": CONVERSATION,
        "errorMessage": "no", "messages": [{"role": "assistant", "content": "hi"}], "metadata": {"a": "b"},
        "reason": "manual", "snapshotId": "s", "storageId": "s", "sha256": "0".repeat(64), "sizeBytes": 1, "error": "no",
    });
    let changes = proptest::collection::vec((select(ARGUMENTS.to_vec()), value()), 0..4);
    let bytes = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..2);
    let surrogate = proptest::option::of(0xd800_u16..0xe000);
    (select(FUNCTIONS.to_vec()), changes, bytes, surrogate).prop_map(
        move |(function, changes, bytes, surrogate)| {
            let mut args = valid.clone();
            for (name, value) in changes {
                args[name] = value;
            }
            let mut body = json!({"path": format!("agentFactory:{function}"), "args": args}).to_string();
            if let Some(surrogate) = surrogate {
                body = body.replacen("no\"", &format!("no\\u{surrogate:04x}\""), 1);
            }
            let mut body = body.into_bytes();
            for (at, byte) in bytes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            body
        },
    )
}

#[tokio::test]
async fn fuzz_compatible_calls_of_any_content_get_an_answer_and_cause_no_panic() {
    let wanted = std::env::var("FUZZ_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(INPUTS);
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    });
    let mut left: usize = wanted;
    while left > 0 {
        let world = World::new().await;
        let (image, job) = world.image_at_work("w").await;
        let bodies = body(&job);
        for _ in 0..left.min(CALLS_OF_A_WORLD) {
            let sent = bodies.new_tree(&mut runner).unwrap().current();
            let call = world.http.post(format!("{}/api/mutation", image.base)).body(sent.clone());
            let answer = call.header("content-type", "application/json").send().await.unwrap();
            let (status, answer) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
            let shown = String::from_utf8_lossy(&sent);
            // A snapshot during a run is refused with 503, so that the image tries again.
            let is_deferred = status == 503 && answer["code"] == "unavailable";
            let is_answer = answer["status"] == "success" || answer["errorMessage"].is_string();
            assert!(is_deferred || (status == 200 && is_answer), "{status} {shown}: {answer}");
        }
        left = left.saturating_sub(CALLS_OF_A_WORLD);
    }
}
