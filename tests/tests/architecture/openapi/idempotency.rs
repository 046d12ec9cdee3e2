//! Every operation that creates, sends or starts something has an idempotency key.

use std::collections::BTreeSet;

use super::{generated, operations};

/// The `POST` operations without the header `Idempotency-Key`, and the reason.
const WITHOUT_KEY: &[(&str, &str)] = &[
    ("activateSkill", "it sets the release of a channel; a repetition sets the same one"),
    ("cancelBroadcast", "a cancelled broadcast gets the same answer"),
    ("cancelMessage", "a cancelled message gets the same answer"),
    ("cleanUpProvider", "it deletes what is left, so a repetition continues"),
    (
        "configureTelegramWebhook",
        "it sets the webhook; a repetition sets it again, and the secret before stays valid",
    ),
    ("dispatchDuePushJobs", "the run key of each job identifies its message"),
    ("reconcileWorkers", "it converges; the reconcile lease admits one run at a time"),
    ("recoverQueue", "it repairs what is malformed, so a repetition finds nothing"),
    ("receiveTelegramUpdate", "the bot and the update number identify the update"),
    ("refuseTelegramUpdateWithoutBot", "it refuses the update and writes nothing"),
    ("skipSnapshot", "a skipped snapshot gets the same answer"),
    (
        "workerAnnounceMedia",
        "a repetition announces another file; the first one is never uploaded and expires",
    ),
    ("workerAppendHistory", "the lease and the ordinal identify the entries"),
    ("workerClaim", "the lease identifies the claim, and a lost one expires"),
    ("workerComplete", "the lease and its fence identify the attempt"),
    ("workerFail", "the lease and its fence identify the attempt"),
    ("workerFailSnapshot", "a snapshot that has ended so gets the same answer"),
    ("workerFinalizeSnapshot", "a snapshot that has ended so gets the same answer"),
    ("workerHeartbeat", "it moves the end of the lease"),
    ("workerPoll", "the lease identifies the claim, and a lost one expires"),
    (
        "workerPrepareSnapshot",
        "a repetition prepares another snapshot; the first one is never uploaded and fails",
    ),
    ("workerSetMetadata", "a later entry replaces an earlier one of the same name"),
    ("workerSkipSnapshot", "a snapshot that has ended so gets the same answer"),
];

#[test]
fn every_post_operation_has_an_idempotency_key_or_a_reason_to_have_none() {
    let document = generated();
    let (mut without, mut with) = (BTreeSet::new(), 0);
    for (method, path, operation) in operations(&document) {
        let mut parameters = operation["parameters"].as_array().into_iter().flatten();
        let has_key = parameters.any(|p| p["in"] == "header" && p["name"] == "Idempotency-Key");
        assert!(!has_key || method == "POST", "{method} {path} is idempotent without a key");
        with += usize::from(has_key);
        if method == "POST" && !has_key {
            without.insert(operation["operationId"].as_str().unwrap().to_owned());
        }
        let mismatch = operation["responses"]["422"].to_string().contains("IdempotencyMismatch");
        assert!(!has_key || mismatch, "{method} {path} does not document idempotency_mismatch");
    }
    let listed: BTreeSet<_> = WITHOUT_KEY.iter().map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(without, listed);
    assert!(WITHOUT_KEY.iter().all(|(_, reason)| reason.split(' ').count() > 3));
    assert!(with >= 20, "only {with} operations have the header");
}
