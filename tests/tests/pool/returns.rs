//! Files across machines: what one worker leaves behind, the next one finds, however long that takes.

use af_app::files::snapshots::expire;
use af_domain::ids::ConversationId;
use af_domain::message::MessageStatus;
use af_domain::policy::Policies;
use af_domain::time::Millis;

use crate::crew::Crew;
use crate::story::TALKS;
use crate::world::{TICK, World};

/// Longer than what a newer snapshot has replaced is kept.
const AWAY: Millis = Millis::from_days(8);

#[tokio::test]
async fn a_user_who_comes_back_after_eight_days_finds_the_files_on_another_machine() {
    let world = World::new().await;
    let mut crew = Crew::of(&world);
    let mut messages = Vec::new();
    for life in 1..=3 {
        messages.push(world.enqueue(TALKS[0]).await);
        world.serve(&mut crew, &messages).await;
        world.close(&mut crew).await;
        assert_eq!(world.stand.ever().machines.len(), life, "each time another one");
        world.pass(AWAY);
        expire(&world.app, &world.objects).await.unwrap();
    }
    let lines: String = messages.iter().map(|m| format!("{m}\n")).collect();
    assert_eq!(crew.kept(&ConversationId::parse(TALKS[0]).unwrap()).await, lines, "byte for byte, in order");
}

#[tokio::test]
async fn a_worker_that_never_answers_is_taken_down_at_its_deadline_and_the_files_before_are_restored() {
    let world = World::new().await;
    let mut crew = Crew::of(&world);
    let first = world.enqueue(TALKS[0]).await;
    world.serve(&mut crew, std::slice::from_ref(&first)).await;
    crew.keep_all().await;
    let lost = world.enqueue(TALKS[0]).await;
    world.serve(&mut crew, std::slice::from_ref(&lost)).await;

    crew.silent = true;
    let policies = Policies::default();
    world.pass(policies.lease.stale_after);
    world.tick().await;
    let drained = world.workers().await.remove(0);
    assert_eq!(drained.status.name(), "draining");
    let waiting = world.enqueue(TALKS[0]).await;
    world.pass(Millis::new(policies.scaling.drain_timeout.as_millis() - 1_000));
    world.tick().await;
    assert_eq!(world.stand.ever().machines.len(), 1, "nobody else may have the conversation yet");
    assert_eq!(world.end_of(&waiting).await.0, MessageStatus::Queued);
    world.pass(Millis::from_secs(1));
    for _ in 0..3 {
        world.tick().await;
        world.pass(TICK);
    }
    let row = world.app.store.stopped_worker(&drained.id, world.app.now()).await.unwrap().unwrap();
    assert!(row.snapshot_missed);
    world.nothing_is_lost().await;

    crew.silent = false;
    world.serve(&mut crew, std::slice::from_ref(&waiting)).await;
    world.close(&mut crew).await;
    let kept = crew.kept(&ConversationId::parse(TALKS[0]).unwrap()).await;
    assert_eq!(kept, format!("{first}\n{waiting}\n"), "what no snapshot held is gone, and nothing else");
}
