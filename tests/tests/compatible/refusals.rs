//! The response of every function to a refused call, which writes nothing.

use af_app::access::worker_token::TOKEN_GOOD_FOR;
use af_domain::time::Millis;
use serde_json::{Value, json};

use crate::{CONVERSATION, Image, World};

/// Every function with valid arguments for the image `w`, and the names of its required arguments.
fn functions(job: &Value, snapshot: &Value) -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let leased = json!({"workerId": "w", "messageId": job["messageId"], "leaseId": job["leaseId"]});
    let with = |base: &Value, more: Value| {
        let mut args = base.clone();
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        args
    };
    let conversation = json!({"conversationId": CONVERSATION});
    let worker = json!({"workerId": "w"});
    let of_snapshot = with(&worker, json!({"snapshotId": snapshot}));
    let lease_arguments = vec!["workerId", "messageId", "leaseId"];
    vec![
        ("workerControlState", worker.clone(), vec!["workerId"]),
        ("workerClaim", with(&worker, conversation.clone()), vec!["workerId"]),
        ("workerHydrationBundle", json!({"messageId": job["messageId"]}), vec!["messageId"]),
        ("workerHeartbeat", leased.clone(), lease_arguments.clone()),
        ("workerComplete", leased.clone(), lease_arguments.clone()),
        (
            "workerFail",
            with(&leased, json!({"errorMessage": "no"})),
            [lease_arguments, vec!["errorMessage"]].concat(),
        ),
        ("workerConversationHasQueued", conversation.clone(), vec!["conversationId"]),
        (
            "workerAppendConversationMessages",
            with(&conversation, json!({"messages": [{"role": "user", "content": "hi"}]})),
            vec!["conversationId", "messages"],
        ),
        (
            "workerAttachMessageMetadata",
            json!({"messageId": job["messageId"], "metadata": {"a": "1"}}),
            vec!["messageId", "metadata"],
        ),
        (
            "workerPrepareSnapshotUpload",
            with(&worker, with(&conversation, json!({"reason": "drain"}))),
            vec!["workerId", "reason"],
        ),
        (
            "workerFinalizeSnapshotUpload",
            with(&of_snapshot, json!({"storageId": snapshot, "sha256": "0".repeat(64), "sizeBytes": 1})),
            vec!["workerId", "snapshotId", "storageId", "sha256", "sizeBytes"],
        ),
        (
            "workerFailSnapshotUpload",
            with(&of_snapshot, json!({"error": "no"})),
            vec!["workerId", "snapshotId", "error"],
        ),
        ("workerLatestSnapshotForRestore", conversation, vec![]),
        ("workerGenerateMediaUploadUrl", json!({}), vec![]),
        ("workerGetStorageFileUrl", json!({"storageId": "s"}), vec!["storageId"]),
        ("workerGlobalSkillsManifest", json!({}), vec![]),
    ]
}

/// An image that holds a lease, and a snapshot of another worker.
async fn leased_image_and_foreign_snapshot(world: &World) -> (Image<'_>, Value, Value) {
    world.enqueue("another", "telegram", "hello").await;
    let other = world.image("other", Some("another")).await;
    let job = other.own("workerClaim", json!({})).await;
    other.of(&job, "workerComplete", json!({})).await;
    let args = json!({"conversationId": "another", "reason": "drain"});
    let snapshot = other.own("workerPrepareSnapshotUpload", args).await["snapshotId"].clone();
    let (image, job) = world.image_at_work("w").await;
    // The sign of life is written once a minute. This call makes it, so that later calls write nothing.
    image.own("workerControlState", json!({})).await;
    (image, job, snapshot)
}

/// The message of a refusal, which writes nothing.
async fn refused(image: &Image<'_>, function: &str, args: &Value) -> String {
    let before = image.world.items().await;
    let (status, answer) = image.call(function, args.clone()).await;
    let message = answer["errorMessage"].clone();
    let expected = json!({"status": "error", "errorMessage": message});
    assert_eq!((status, &answer), (200, &expected), "{function} {args}");
    assert_eq!(image.world.items().await, before, "{function} {args} has written something");
    message.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_missing_argument_is_named() {
    let world = World::new().await;
    let (image, job, snapshot) = leased_image_and_foreign_snapshot(&world).await;
    for (function, args, needed) in functions(&job, &snapshot) {
        for name in needed {
            let mut args = args.clone();
            args.as_object_mut().unwrap().remove(name);
            assert_eq!(refused(&image, function, &args).await, format!("{name} is needed"), "{function}");
            args[name] = json!([1]);
            refused(&image, function, &args).await;
        }
    }
}

#[tokio::test]
async fn an_invalid_token_is_refused_by_every_function() {
    let world = World::new().await;
    let (image, job, snapshot) = leased_image_and_foreign_snapshot(&world).await;
    let signed_by_another = world.image("signed", None).await.token;
    let (claims, signature) = (image.token.split('.').next(), signed_by_another.split('.').nth(1));
    let forged = format!("{}.{}", claims.unwrap(), signature.unwrap());
    for token in ["nonsense", "afw_", &image.token[..image.token.len() - 2], &forged] {
        let forger = world.with_token("w", token);
        for (function, args, _) in functions(&job, &snapshot) {
            let message = refused(&forger, function, &args).await;
            assert!(message.contains("worker token") && !message.contains(token), "{function}: {message}");
        }
    }
}

#[tokio::test]
async fn an_expired_token_is_refused_by_every_function_except_the_control_state() {
    let world = World::new().await;
    let (image, job, snapshot) = leased_image_and_foreign_snapshot(&world).await;
    world.advance(TOKEN_GOOD_FOR);
    for (function, args, _) in functions(&job, &snapshot) {
        if function == "workerControlState" {
            let before = world.items().await;
            assert_eq!(image.value(function, args).await, json!({"shouldStop": true}));
            assert_eq!(world.items().await, before);
            continue;
        }
        assert_eq!(refused(&image, function, &args).await, "this worker token has expired", "{function}");
    }
}

#[tokio::test]
async fn a_stopped_worker_gets_nothing_from_any_function() {
    let world = World::new().await;
    let (image, job, snapshot) = leased_image_and_foreign_snapshot(&world).await;
    // The worker is silent until its message is recovered and its row is stopped.
    for _ in 0..3 {
        world.advance(Millis::from_secs(10 * 60));
        world.reconcile().await;
    }
    assert_eq!(world.worker_row("w").await["status"], "stopped");
    let before = world.items().await;
    for (function, args, _) in functions(&job, &snapshot) {
        let (status, answer) = image.call(function, args).await;
        assert_eq!(status, 200, "{function}");
        let value = &answer["value"];
        match function {
            "workerControlState" => assert_eq!(value, &json!({"shouldStop": true})),
            // Images read null as "no longer yours", which is not an error.
            "workerClaim" | "workerHydrationBundle" | "workerGetStorageFileUrl" => {
                assert_eq!((&answer["status"], value), (&json!("success"), &Value::Null), "{function}");
            }
            "workerHeartbeat" | "workerComplete" | "workerAttachMessageMetadata" => {
                assert_eq!((&answer["status"], value), (&json!("success"), &json!(false)), "{function}");
            }
            "workerFail" => {
                let nothing = json!({"requeued": false, "deadLettered": false, "nextScheduledFor": null});
                assert_eq!(value, &nothing);
            }
            _ => assert_eq!(answer["status"], "error", "{function}: {answer}"),
        }
    }
    assert_eq!(world.items().await, before);
}

#[tokio::test]
async fn another_workers_id_is_refused_by_every_function() {
    let world = World::new().await;
    let (image, job, snapshot) = leased_image_and_foreign_snapshot(&world).await;
    for (function, mut args, _) in functions(&job, &snapshot) {
        for named in [json!("other"), json!("unknown"), json!(7)] {
            args["workerId"] = named;
            let message = refused(&image, function, &args).await;
            assert_eq!(message, "workerId must be that of the token, w", "{function}");
        }
    }
}

#[tokio::test]
async fn a_foreign_conversation_is_not_found() {
    let world = World::new().await;
    let (image, job, snapshot) = leased_image_and_foreign_snapshot(&world).await;
    for foreign in ["another", "unknown"] {
        for (function, mut args, _) in functions(&job, &snapshot) {
            if args["conversationId"].is_null() || function == "workerClaim" {
                continue;
            }
            args["conversationId"] = json!(foreign);
            let message = refused(&image, function, &args).await;
            assert_eq!(message, format!("there is no conversation {foreign} of this worker"), "{function}");
        }
    }
}

#[tokio::test]
async fn a_snapshot_of_another_worker_is_not_found() {
    let world = World::new().await;
    let (image, job, snapshot) = leased_image_and_foreign_snapshot(&world).await;
    for (function, args, _) in
        functions(&job, &snapshot).into_iter().filter(|(_, args, _)| !args["snapshotId"].is_null())
    {
        let message = refused(&image, function, &args).await;
        assert_eq!(
            message,
            format!("there is no snapshot {} of this worker", snapshot.as_str().unwrap()),
            "{function}"
        );
    }
}

#[tokio::test]
async fn a_call_without_the_lease_returns_false_and_changes_nothing() {
    let world = World::new().await;
    let (image, job, _) = leased_image_and_foreign_snapshot(&world).await;
    let nothing = json!({"requeued": false, "deadLettered": false, "nextScheduledFor": null});
    let message = world.message(&job["messageId"]).await;
    let other = world.image("third", None).await;
    let foreign = |lease: &str| json!({"messageId": job["messageId"], "leaseId": lease});
    let stale = job["leaseId"].as_str().unwrap().replace(".1.1.", ".9.9.");
    assert_ne!(stale, job["leaseId"].as_str().unwrap());
    let lease = job["leaseId"].as_str().unwrap();
    let another_message = json!({"messageId": "m", "leaseId": lease});
    for (caller, args) in [
        (&image, foreign("nonsense")),
        (&image, foreign(&stale)),
        (&image, another_message),
        (&other, foreign(lease)),
    ] {
        let before = world.items().await;
        for function in ["workerHeartbeat", "workerComplete"] {
            assert_eq!(caller.own(function, args.clone()).await, false, "{function} {args}");
        }
        let mut failing = args.clone();
        failing["errorMessage"] = json!("no");
        assert_eq!(caller.own("workerFail", failing).await, nothing, "{args}");
        assert_eq!(world.items().await, before, "{args}");
    }
    let metadata = json!({"messageId": job["messageId"], "metadata": {"a": "1"}});
    assert_eq!(other.value("workerAttachMessageMetadata", metadata).await, false);
    assert_eq!(world.message(&job["messageId"]).await, message);
    assert_eq!(image.of(&job, "workerHeartbeat", json!({})).await, true, "the lease is still held");
}

#[tokio::test]
async fn a_call_that_names_no_function_is_refused() {
    let world = World::new().await;
    let image = world.image("w", None).await;
    for (body, expected) in [
        (json!({"path": "agentFactory:workerDance", "args": {}}), "there is no function workerDance"),
        (json!({"path": "agentFactory:", "args": {}}), "there is no function "),
        (json!({"args": {}}), "path is needed"),
        (json!({"path": 7, "args": {}}), "must be a string"),
        (json!({"path": "a:workerClaim", "args": 7}), "args must be an object"),
        (json!({"path": "a:workerClaim", "args": [{}, {}]}), "args must be an object"),
        (json!({"path": "a:workerClaim", "args": [[]]}), "args must be an object"),
        (json!({"path": "a:workerClaim"}), "workerId is needed"),
        (json!([]), "must be an object"),
    ] {
        let (status, answer) = image.send("mutation", &body).await;
        assert_eq!((status, &answer["status"]), (200, &json!("error")), "{answer}");
        assert!(answer["errorMessage"].as_str().unwrap().contains(expected), "{body}: {answer}");
    }
}

#[tokio::test]
async fn an_unknown_value_is_refused_with_the_allowed_values() {
    let world = World::new().await;
    let (image, _, _) = leased_image_and_foreign_snapshot(&world).await;
    let in_conversation = |more: Value| {
        let mut args = json!({"workerId": "w", "conversationId": CONVERSATION});
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        args
    };
    let message = |role: &str, content: &str| {
        in_conversation(json!({"messages": [{"role": role, "content": content}]}))
    };
    for (function, args, expected) in [
        (
            "workerPrepareSnapshotUpload",
            in_conversation(json!({"reason": "boredom"})),
            "drain, signal, manual",
        ),
        ("workerAppendConversationMessages", message("robot", "hi"), "user, assistant, system, tool"),
        ("workerAppendConversationMessages", message("user", &"x".repeat(256 * 1024 + 1)), "262144 bytes"),
        ("workerGlobalSkillsManifest", json!({"releaseChannel": "beta"}), "stable"),
    ] {
        let message = refused(&image, function, &args).await;
        assert!(message.contains(expected), "{function}: {message}");
    }
}

#[tokio::test]
async fn a_snapshot_is_refused_while_a_message_runs() {
    let world = World::new().await;
    let (image, _) = world.image_at_work("w").await;
    let args = json!({"workerId": "w", "conversationId": CONVERSATION, "reason": "manual"});
    let (status, answer) = image.call("workerPrepareSnapshotUpload", args).await;
    assert_eq!((status, &answer["code"]), (503, &json!("unavailable")), "a message runs: {answer}");
}

#[tokio::test]
async fn an_argument_that_is_null_counts_as_missing() {
    let world = World::new().await;
    let (image, job, snapshot) = leased_image_and_foreign_snapshot(&world).await;
    for (function, mut args, needed) in functions(&job, &snapshot) {
        args["workerId"] = Value::Null;
        if needed.contains(&"workerId") {
            assert_eq!(refused(&image, function, &args).await, "workerId is needed", "{function}");
        }
    }
    let args = json!({"workspaceId": null, "workerId": null, "releaseChannel": null});
    assert_eq!(image.value("workerGlobalSkillsManifest", args).await["releaseChannel"], "stable");
}

#[tokio::test]
async fn a_claim_with_an_invalid_conversation_id_is_null() {
    let world = World::new().await;
    let image = world.image("w", None).await;
    world.enqueue(CONVERSATION, "telegram", "hello").await;
    for named in [json!(""), json!("a\nb"), json!("x".repeat(5_000)), json!(7), json!({})] {
        let args = json!({"conversationId": named});
        assert_eq!(image.own("workerClaim", args).await, Value::Null, "{named}");
    }
    let args = json!({"conversationId": null});
    assert_eq!(image.own("workerClaim", args).await["conversationId"], CONVERSATION);
}
