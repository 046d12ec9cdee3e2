use super::*;
use crate::conversation::{Owner, Queue};
use crate::ids::{ConversationKey, SnapshotParts};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn conversation(fence: u64, owner: &str, claimed_at: Option<Timestamp>) -> Conversation {
    let worker = WorkerId::parse(owner).unwrap();
    Conversation {
        id: ConversationId::parse("c").unwrap(),
        key: ConversationKey::parse("0".repeat(26)).unwrap(),
        agent: AgentKey::parse("demo").unwrap(),
        fence: Fence(fence),
        version: 1,
        queue: Queue::default(),
        lease: None,
        owner: Some(Owner {
            worker,
            state: OwnerState::Active,
            seen_at: None,
            assigned_at: NOW,
            wanted_elsewhere: false,
            claimed_at,
            snapshot_fence: None,
            restored_at: None,
        }),
        last: None,
        ready: None,
        behind: None,
        held_until: None,
        active_at: NOW,
    }
}

fn snapshot(of: &Conversation, worker: &str) -> Snapshot {
    let place = "01KE3N4AZ0000000000000000A".to_owned();
    Snapshot {
        id: SnapshotId::of(&SnapshotParts { conversation: of.key.clone(), fence: of.fence, place }).unwrap(),
        conversation: of.id.clone(),
        agent: of.agent.clone(),
        worker: WorkerId::parse(worker).unwrap(),
        reason: SnapshotReason::Drain,
        content: Some(Stored { size_bytes: 7, sha256: Sha256Hex::parse("a".repeat(64)).unwrap() }),
        status: SnapshotStatus::Uploading,
        created_at: NOW,
        expires_at: NOW + ABANDONED_AFTER,
    }
}

fn stored(snapshot: &Snapshot) -> Stored {
    snapshot.content.clone().unwrap()
}

#[test]
fn the_announced_archive_becomes_ready_and_stays_ready() {
    let (conversation, policies) = (conversation(3, "w", Some(NOW)), Policies::default());
    let uploading = snapshot(&conversation, "w");
    let ready = uploading.finalize(&stored(&uploading), &conversation, NOW, &policies).unwrap();
    assert_eq!(ready.status, SnapshotStatus::Ready { completed_at: NOW });
    assert_eq!(ready.expires_at, NOW + policies.retention.snapshot);
    let later = NOW + Millis::from_secs(1);
    assert_eq!(ready.finalize(&stored(&ready), &conversation, later, &policies).unwrap(), ready);
    assert_eq!(ready.fail("too late"), None);
}

#[test]
fn a_snapshot_of_an_older_fence_or_of_another_worker_never_becomes_ready() {
    let policies = Policies::default();
    let before = conversation(3, "w", Some(NOW));
    let uploading = snapshot(&before, "w");
    let refused = |now: &Conversation| uploading.finalize(&stored(&uploading), now, NOW, &policies);
    assert_eq!(refused(&conversation(4, "w", Some(NOW))), Err(FinalizeRefusal::Superseded));
    assert_eq!(refused(&conversation(3, "other", None)), Err(FinalizeRefusal::Superseded));
    assert_eq!(refused(&Conversation { owner: None, ..before }), Err(FinalizeRefusal::Superseded));
}

#[test]
fn a_body_that_was_not_announced_never_becomes_ready() {
    let (conversation, policies) = (conversation(3, "w", Some(NOW)), Policies::default());
    let uploading = snapshot(&conversation, "w");
    let longer = Stored { size_bytes: 8, ..stored(&uploading) };
    let other = Stored { sha256: Sha256Hex::parse("b".repeat(64)).unwrap(), ..stored(&uploading) };
    for wrong in [longer, other] {
        let refused = uploading.finalize(&wrong, &conversation, NOW, &policies);
        assert_eq!(refused, Err(FinalizeRefusal::Mismatch));
    }
    let unannounced = Snapshot { content: None, ..uploading.clone() };
    let refused = unannounced.finalize(&stored(&uploading), &conversation, NOW, &policies);
    assert_eq!(refused, Err(FinalizeRefusal::Mismatch));
    let failed = uploading.fail("disk full").unwrap();
    let refused = failed.finalize(&stored(&failed), &conversation, NOW, &policies);
    assert_eq!(refused, Err(FinalizeRefusal::Ended("failed")));
}

#[test]
fn a_worker_owes_a_snapshot_from_its_claim_until_it_has_one() {
    let never = conversation(3, "w", None);
    let worker = WorkerId::parse("w").unwrap();
    assert!(!never.owes_snapshot());
    assert_eq!(never.snapshot_fence(&worker, NOW), Err(SnapshotRefusal::NothingClaimed));
    let claimed = conversation(4, "w", Some(NOW));
    assert!(claimed.owes_snapshot());
    assert_eq!(claimed.snapshot_fence(&worker, NOW), Ok(Fence(4)));
    let other = WorkerId::parse("other").unwrap();
    assert_eq!(claimed.snapshot_fence(&other, NOW), Err(SnapshotRefusal::NotOwner));
    let kept = claimed.with_snapshot();
    assert!(!kept.owes_snapshot() && kept.version > claimed.version);
    assert!(
        Conversation { fence: Fence(5), ..kept }.owes_snapshot(),
        "another claim may have changed the files"
    );
}

#[test]
fn an_expired_upload_fails_and_an_expired_ready_snapshot_expires() {
    let conversation = conversation(3, "w", Some(NOW));
    let uploading = snapshot(&conversation, "w");
    assert_eq!(uploading.expire().status.name(), "failed");
    let ready = Snapshot { status: SnapshotStatus::Ready { completed_at: NOW }, ..uploading };
    assert_eq!(ready.expire().status, SnapshotStatus::Expired);
    let failed = Snapshot { status: SnapshotStatus::Failed { error: "e".into() }, ..ready };
    assert_eq!(failed.expire(), failed);
}
