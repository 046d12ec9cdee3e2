//! Writes of snapshots.

use af_app::App;
use af_domain::conversation::Conversation;
use af_domain::ids::{Sha256Hex, SnapshotId, SnapshotParts};
use af_domain::snapshot::{ABANDONED_AFTER, Snapshot, SnapshotReason, SnapshotStatus, Stored};
use af_store::snapshot::{SkippedLatest, SnapshotChange};

use super::{conversation, owner, policies};
use crate::world::World;

fn content() -> Stored {
    Stored { size_bytes: 1, sha256: Sha256Hex::parse("a".repeat(64)).unwrap() }
}

/// A snapshot that the owner of the conversation is uploading, and the conversation.
async fn uploading(world: &World) -> (Snapshot, Conversation) {
    let worker = owner(world, 0).await;
    let (conversation, now) = (world.stored(&conversation()).await, world.app.now());
    let parts = SnapshotParts {
        conversation: conversation.key.clone(),
        fence: conversation.fence,
        place: "0".repeat(26),
    };
    let snapshot = Snapshot {
        id: SnapshotId::of(&parts).unwrap(),
        conversation: conversation.id.clone(),
        agent: conversation.agent.clone(),
        worker,
        reason: SnapshotReason::Manual,
        content: Some(content()),
        status: SnapshotStatus::Uploading,
        created_at: now,
        expires_at: now + ABANDONED_AFTER,
    };
    (snapshot, conversation)
}

async fn prepared(world: &World) -> (Snapshot, Conversation) {
    let (snapshot, conversation) = uploading(world).await;
    world.app.store.prepare_if_absent(&snapshot).await.unwrap();
    (snapshot, conversation)
}

pub async fn prepare_if_absent(world: &World, app: &App, times: usize) -> Vec<String> {
    let (snapshot, _) = uploading(world).await;
    send!(times, app.store.prepare_if_absent(&snapshot))
}

pub async fn announce_if_uploading(world: &World, app: &App, times: usize) -> Vec<String> {
    let (snapshot, _) = prepared(world).await;
    let larger = Stored { size_bytes: 2, ..content() };
    send!(times, app.store.announce_if_uploading(&snapshot.id, &larger))
}

pub async fn finalize_if_current(world: &World, app: &App, times: usize) -> Vec<String> {
    let (snapshot, before) = prepared(world).await;
    let ready = snapshot.finalize(&content(), &before, app.now(), &policies()).unwrap();
    let after = before.with_snapshot();
    let change = SnapshotChange { before: &before, after: &after, leaving: None };
    send!(times, app.store.finalize_if_current(&ready, None, &change, &policies()))
}

pub async fn fail_if_uploading(world: &World, app: &App, times: usize) -> Vec<String> {
    let (snapshot, _) = prepared(world).await;
    let failed = snapshot.fail("no").unwrap();
    send!(times, app.store.fail_if_uploading(&failed, None, &policies()))
}

pub async fn skip_if_ready(world: &World, app: &App, times: usize) -> Vec<String> {
    let (snapshot, before) = prepared(world).await;
    let ready = snapshot.finalize(&content(), &before, app.now(), &policies()).unwrap();
    let after = before.with_snapshot();
    let change = SnapshotChange { before: &before, after: &after, leaving: None };
    world.app.store.finalize_if_current(&ready, None, &change, &policies()).await.unwrap();
    let skipped = ready.skip("no", app.now(), &policies()).unwrap();
    send!(times, app.store.skip_if_ready(&skipped, SkippedLatest::None))
}

pub async fn expire_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let (snapshot, _) = prepared(world).await;
    let late = snapshot.expires_at;
    send!(times, app.store.expire_if_unchanged(&snapshot, &snapshot.expire(), late))
}

pub async fn object_deleted_if_ended(world: &World, app: &App, times: usize) -> Vec<String> {
    let (snapshot, _) = prepared(world).await;
    let late = snapshot.expires_at;
    world.app.store.expire_if_unchanged(&snapshot, &snapshot.expire(), late).await.unwrap();
    send!(times, app.store.object_deleted_if_ended(&snapshot.id, late))
}
