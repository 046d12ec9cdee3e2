//! Files across machines: the next worker of a conversation restores the files of the one before, after any time.

use af_app::files::snapshots::expire;
use af_domain::ids::ConversationId;
use af_domain::message::MessageStatus;
use af_domain::policy::Policies;
use af_domain::time::Millis;

use crate::fleet::Fleet;
use crate::scenario::CONVERSATIONS;
use crate::world::{TICK, World};

/// Longer than the retention of a replaced snapshot.
const ABSENCE: Millis = Millis::from_days(8);

#[tokio::test]
async fn a_snapshot_is_restored_on_another_machine_after_eight_days() {
    let world = World::new().await;
    let mut fleet = Fleet::of(&world);
    let mut messages = Vec::new();
    for machines in 1..=3 {
        messages.push(world.enqueue(CONVERSATIONS[0]).await);
        world.serve(&mut fleet, &messages).await;
        world.scale_to_zero(&mut fleet).await;
        assert_eq!(world.backend.created().machines.len(), machines, "each time another machine");
        world.advance(ABSENCE);
        expire(&world.app, &world.objects).await.unwrap();
    }
    let lines: String = messages.iter().map(|m| format!("{m}\n")).collect();
    assert_eq!(
        fleet.latest_files(&ConversationId::parse(CONVERSATIONS[0]).unwrap()).await,
        lines,
        "byte for byte, in order"
    );
}

#[tokio::test]
async fn a_silent_worker_is_torn_down_at_its_drain_deadline_and_the_last_snapshot_is_restored() {
    let world = World::new().await;
    let mut fleet = Fleet::of(&world);
    let first = world.enqueue(CONVERSATIONS[0]).await;
    world.serve(&mut fleet, std::slice::from_ref(&first)).await;
    fleet.upload_all().await;
    let lost = world.enqueue(CONVERSATIONS[0]).await;
    world.serve(&mut fleet, std::slice::from_ref(&lost)).await;

    fleet.is_silent = true;
    let policies = Policies::default();
    world.advance(policies.lease.stale_after);
    world.tick().await;
    let drained = world.workers().await.remove(0);
    assert_eq!(drained.status.name(), "draining");
    let waiting = world.enqueue(CONVERSATIONS[0]).await;
    world.advance(Millis::new(policies.scaling.drain_timeout.as_millis() - 1_000));
    world.tick().await;
    assert_eq!(world.backend.created().machines.len(), 1, "no other worker may own the conversation yet");
    assert_eq!(world.status_and_attempts(&waiting).await.0, MessageStatus::Queued);
    world.advance(Millis::from_secs(1));
    for _ in 0..3 {
        world.tick().await;
        world.advance(TICK);
    }
    let row = world.app.store.stopped_worker(&drained.id, world.app.now()).await.unwrap().unwrap();
    assert!(row.snapshot_missed);
    world.assert_no_orphans().await;

    fleet.is_silent = false;
    world.serve(&mut fleet, std::slice::from_ref(&waiting)).await;
    world.scale_to_zero(&mut fleet).await;
    let kept = fleet.latest_files(&ConversationId::parse(CONVERSATIONS[0]).unwrap()).await;
    assert_eq!(kept, format!("{first}\n{waiting}\n"), "only the line without a snapshot is lost");
}
