//! Every conditional write, with the scene that it needs.

use af_app::App;
use af_app::enqueue::{Enqueue, Identity, enqueue as accept};
use af_domain::agent::BotName;
use af_domain::conversation::{Conversation, Failure};
use af_domain::ids::{AgentKey, BotIdentity, ConversationId, Sha256Hex, SnapshotId, SnapshotParts, WorkerId};
use af_domain::message::{HistoryEntry, Role};
use af_domain::policy::{OnRetry, Policies};
use af_domain::snapshot::{ABANDONED_AFTER, Snapshot, SnapshotReason, SnapshotStatus, Stored};
use af_domain::time::{Millis, Timestamp};
use af_domain::worker::{DrainReason, Machine, Worker};
use af_store::conversation::Held as Names;
use af_store::snapshot::Follows;

use crate::ambiguous::Again::{self, Same, Says};
use crate::ambiguous::Sending;
use crate::world::{AGENT, Held, World, conversation, without_words};

/// Sends `$call` so many times and collects what it was answered.
macro_rules! send {
    ($times:expr, $call:expr) => {{
        let mut answers = Vec::new();
        for _ in 0..$times {
            answers.push(format!("{:?}", $call.await));
        }
        answers
    }};
}

/// The table's lines: a write, what its second sending is answered, and the write itself.
macro_rules! writes {
    ($( $name:ident => $again:expr; )*) => {
        pub const ALL: &[(&str, Again, Sending)] =
            &[$( (stringify!($name), $again, |world, app, times| Box::pin($name(world, app, times))) ),*];
    };
}

writes! {
    enqueue_if_absent => Says("duplicate: true");
    claim_if_owned => Same;
    claim_if_free => Same;
    heartbeat_if_leased => Same;
    append_if_leased => Same;
    complete_if_leased => Same;
    give_back_if_unchanged => Says("Stale");
    repair_if_unchanged => Same;
    seen_if_owner => Same;
    ask_to_switch_if_owned => Same;
    register_if_new => Says("Stale");
    register_if_free => Says("Stale");
    release_if_quiet => Says("Stale");
    drain_if_active => Says("Stale");
    settle_if_draining => Says("Stale");
    stopped_if_stopping => Says("Stale");
    prepare_if_absent => Says("Stale");
    finalize_if_current => Says("Stale");
    fail_if_uploading => Says("Stale");
    expire_if_unchanged => Says("Stale");
    object_gone_if_over => Same;
    assign_bot_if_unclaimed => Same;
    rotate_webhook_secret => Same;
    webhook_ready => Same;
    machine_if_registered => Same;
    seen_if_registered => Same;
    change_config_if_unchanged => Same;
    begin_reconcile => Same;
    end_reconcile => Same;
    abandon_reconcile => Same;
}

/// A number that nobody guesses.
const NONCE: u64 = 7;

fn talk() -> ConversationId {
    conversation("talk")
}

fn policies() -> Policies {
    Policies::default()
}

/// A worker that owns `talk`, in which this many messages wait.
async fn owner(world: &World, waiting: usize) -> WorkerId {
    world.enqueue(&talk(), None).await;
    let worker = world.worker("w", Some(&talk())).await;
    let first = world.claim(&worker, Some(&talk())).await;
    world.complete(&first).await;
    for _ in 0..waiting {
        world.enqueue(&talk(), None).await;
    }
    worker
}

/// A message in its owner's hands.
async fn held(world: &World) -> Held {
    let worker = owner(world, 1).await;
    world.claim(&worker, Some(&talk())).await
}

async fn row(world: &World, worker: &WorkerId) -> Worker {
    world.app.store.worker(worker).await.unwrap().unwrap()
}

/// Another worker like this one.
fn twin(row: &Worker) -> Worker {
    Worker { id: WorkerId::parse("twin").unwrap(), ..row.clone() }
}

async fn enqueue_if_absent(world: &World, app: &App, times: usize) -> Vec<String> {
    world.enqueue(&talk(), None).await;
    let identity = Identity::Key { caller: "test".into(), key: "k".into() };
    let message = Enqueue { identity, ..world.message(&talk(), None) };
    send!(times, accept(app, message.clone()))
}

async fn claim_if_owned(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = owner(world, 2).await;
    let before = world.stored(&talk()).await;
    let claimed = before.claim(&worker, NONCE, world.app.now(), &policies()).unwrap();
    send!(times, app.store.claim_if_owned(&before, &claimed, &policies()))
}

async fn claim_if_free(world: &World, app: &App, times: usize) -> Vec<String> {
    world.enqueue(&talk(), None).await;
    let worker = world.worker("w", None).await;
    let (before, now) = (world.stored(&talk()).await, world.app.now());
    let claimed = before.claim(&worker, NONCE, now, &policies()).unwrap();
    send!(times, app.store.claim_if_free(&before, &claimed, now, &policies()))
}

async fn heartbeat_if_leased(world: &World, app: &App, times: usize) -> Vec<String> {
    let held = held(world).await;
    world.bundle.clock.advance(Millis::from_secs(10));
    let names = names(&held);
    send!(times, app.store.heartbeat_if_leased(&names, Some("thinks"), app.now(), &policies()))
}

fn names(held: &Held) -> Names<'_> {
    Names { lease: &held.lease, message: Some(&held.message), worker: &held.worker }
}

async fn append_if_leased(world: &World, app: &App, times: usize) -> Vec<String> {
    let held = held(world).await;
    let entry = HistoryEntry { role: Role::User, content: "hello".into(), at: app.now() };
    let names = Names { message: None, ..names(&held) };
    send!(times, app.store.append_if_leased(&names, 0, std::slice::from_ref(&entry), None))
}

async fn complete_if_leased(world: &World, app: &App, times: usize) -> Vec<String> {
    let Held { worker, message, lease } = held(world).await;
    let (with, now, policies) = (without_words(), app.now(), policies());
    send!(times, app.store.complete_if_leased(&lease, &message, &worker, &with, now, &policies))
}

async fn give_back_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let held = held(world).await;
    let (before, now) = (world.stored(&talk()).await, app.now());
    let failure = Failure { error: "no".into(), retryable: true };
    let back = before.fail(&held.lease, failure, 0.0, now, &policies()).unwrap();
    send!(times, app.store.give_back_if_unchanged(&before, &back, false, now, &policies()))
}

/// The policy for retries has changed since the keys were written.
async fn repair_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let held = held(world).await;
    let (before, now) = (world.stored(&talk()).await, app.now());
    let failure = Failure { error: "no".into(), retryable: true };
    let back = before.fail(&held.lease, failure, 0.0, now, &policies()).unwrap();
    world.app.store.give_back_if_unchanged(&before, &back, false, now, &policies()).await.unwrap();
    let (mut overtake, before) = (policies(), world.stored(&talk()).await);
    overtake.queue.on_retry = OnRetry::Overtake;
    let repaired = before.with_keys_repaired(now, &overtake).unwrap();
    send!(times, app.store.repair_if_unchanged(&before, &repaired, &overtake))
}

async fn seen_if_owner(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = owner(world, 0).await;
    world.bundle.clock.advance(Millis::from_secs(60));
    let key = world.stored(&talk()).await.key;
    send!(times, app.store.seen_if_owner(&key, &worker, app.now()))
}

async fn ask_to_switch_if_owned(world: &World, app: &App, times: usize) -> Vec<String> {
    owner(world, 0).await;
    let owned = world.stored(&talk()).await;
    send!(times, app.store.ask_to_switch_if_owned(&owned, true))
}

async fn register_if_new(world: &World, app: &App, times: usize) -> Vec<String> {
    let row = twin(&row(world, &world.worker("w", None).await).await);
    send!(times, app.store.register_if_new(&row))
}

async fn register_if_free(world: &World, app: &App, times: usize) -> Vec<String> {
    let owner = owner(world, 1).await;
    let row = twin(&row(world, &owner).await);
    world.dismiss(&owner, Some(&talk())).await;
    let before = world.stored(&talk()).await;
    let after = before.assigned_to(&row.id, app.now(), &policies()).unwrap();
    send!(times, app.store.register_if_free(&row, &before, &after, &policies()))
}

/// The owner's row, the conversation, and the conversation without its owner.
async fn to_be_freed(world: &World, worker: &WorkerId) -> (Worker, Conversation, Conversation) {
    let before = world.stored(&talk()).await;
    let after = before.released_by(worker, world.app.now(), &policies()).unwrap();
    (row(world, worker).await, before, after)
}

async fn release_if_quiet(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = owner(world, 0).await;
    let (row, before, after) = to_be_freed(world, &worker).await;
    send!(times, app.store.release_if_quiet(&row, &before, &after, &policies()))
}

async fn drain_if_active(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = owner(world, 0).await;
    let drained = row(world, &worker).await.drain(DrainReason::Operator, app.now(), &policies()).unwrap();
    let owned = world.stored(&talk()).await;
    send!(times, app.store.drain_if_active(&drained, Some(&owned), &policies()))
}

async fn settle_if_draining(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = owner(world, 0).await;
    let drained = row(world, &worker).await.drain(DrainReason::Operator, app.now(), &policies()).unwrap();
    let owned = world.stored(&talk()).await;
    world.app.store.drain_if_active(&drained, Some(&owned), &policies()).await.unwrap();
    let (draining, before, after) = to_be_freed(world, &worker).await;
    let settled = draining.settle(app.now()).unwrap();
    send!(times, app.store.settle_if_draining(&settled, Some((&before, &after)), &policies()))
}

async fn stopped_if_stopping(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = world.worker("w", None).await;
    world.dismiss(&worker, None).await;
    let stopped = row(world, &worker).await.gone(app.now()).unwrap();
    send!(times, app.store.stopped_if_stopping(&stopped))
}

/// A snapshot that the owner of `talk` is uploading, and the conversation.
async fn uploading(world: &World) -> (Snapshot, Conversation) {
    let worker = owner(world, 0).await;
    let (talk, now) = (world.stored(&talk()).await, world.app.now());
    let parts = SnapshotParts { conversation: talk.key.clone(), fence: talk.fence, place: "0".repeat(26) };
    let snapshot = Snapshot {
        id: SnapshotId::of(&parts).unwrap(),
        conversation: talk.id.clone(),
        agent: talk.agent.clone(),
        worker,
        reason: SnapshotReason::Manual,
        size_bytes: 1,
        sha256: Sha256Hex::parse("a".repeat(64)).unwrap(),
        status: SnapshotStatus::Uploading,
        created_at: now,
        expires_at: now + ABANDONED_AFTER,
    };
    (snapshot, talk)
}

async fn prepared(world: &World) -> (Snapshot, Conversation) {
    let (snapshot, talk) = uploading(world).await;
    world.app.store.prepare_if_absent(&snapshot).await.unwrap();
    (snapshot, talk)
}

async fn prepare_if_absent(world: &World, app: &App, times: usize) -> Vec<String> {
    let (snapshot, _) = uploading(world).await;
    send!(times, app.store.prepare_if_absent(&snapshot))
}

async fn finalize_if_current(world: &World, app: &App, times: usize) -> Vec<String> {
    let (snapshot, before) = prepared(world).await;
    let stored = Stored { size_bytes: 1, sha256: snapshot.sha256.clone() };
    let ready = snapshot.finalize(&stored, &before, app.now(), &policies()).unwrap();
    let after = before.with_snapshot();
    let follows = Follows::Kept { before: &before, after: &after };
    send!(times, app.store.finalize_if_current(&ready, None, &follows, &policies()))
}

async fn fail_if_uploading(world: &World, app: &App, times: usize) -> Vec<String> {
    let (snapshot, _) = prepared(world).await;
    let failed = snapshot.fail("no").unwrap();
    send!(times, app.store.fail_if_uploading(&failed, None, &policies()))
}

async fn expire_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let (snapshot, _) = prepared(world).await;
    let late = snapshot.expires_at;
    send!(times, app.store.expire_if_unchanged(&snapshot, &snapshot.expire(), late))
}

async fn object_gone_if_over(world: &World, app: &App, times: usize) -> Vec<String> {
    let (snapshot, _) = prepared(world).await;
    let late = snapshot.expires_at;
    world.app.store.expire_if_unchanged(&snapshot, &snapshot.expire(), late).await.unwrap();
    send!(times, app.store.object_gone_if_over(&snapshot.id, late))
}

fn bot() -> BotName {
    BotName { identity: BotIdentity::parse("77").unwrap(), username: "demo_bot".into() }
}

async fn assigned_bot(world: &World) -> AgentKey {
    let agent = AgentKey::parse(AGENT).unwrap();
    world.app.store.assign_bot_if_unclaimed(&agent, &bot(), None, world.app.now()).await.unwrap();
    agent
}

async fn assign_bot_if_unclaimed(_: &World, app: &App, times: usize) -> Vec<String> {
    let agent = AgentKey::parse(AGENT).unwrap();
    send!(times, app.store.assign_bot_if_unclaimed(&agent, &bot(), None, app.now()))
}

async fn rotate_webhook_secret(world: &World, app: &App, times: usize) -> Vec<String> {
    assigned_bot(world).await;
    let bot = world.app.store.bot(&bot().identity).await.unwrap().unwrap();
    send!(times, app.store.rotate_webhook_secret(&bot, [1; 32], app.now()))
}

async fn webhook_ready(world: &World, app: &App, times: usize) -> Vec<String> {
    assigned_bot(world).await;
    send!(times, app.store.webhook_ready(&bot().identity, Some(app.now())))
}

async fn machine_if_registered(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = world.worker("w", None).await;
    let machine = Machine { app: "app".into(), id: "m".into(), region: "ams".into() };
    send!(times, app.store.machine_if_registered(&worker, &machine))
}

async fn seen_if_registered(world: &World, app: &App, times: usize) -> Vec<String> {
    let worker = world.worker("w", None).await;
    send!(times, app.store.seen_if_registered(&worker, app.now()))
}

async fn change_config_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    world.app.store.put_config("policies", "{}").await.unwrap();
    send!(times, app.store.change_config_if_unchanged("policies", Some("{}"), r#"{"queue":{}}"#))
}

async fn begin_reconcile(_: &World, app: &App, times: usize) -> Vec<String> {
    send!(times, app.store.begin_reconcile(NONCE, app.now()))
}

async fn end_reconcile(world: &World, app: &App, times: usize) -> Vec<String> {
    let (holder, now) = reconciling(world).await;
    send!(times, app.store.end_reconcile(&holder, "{}", now))
}

async fn abandon_reconcile(world: &World, app: &App, times: usize) -> Vec<String> {
    let (holder, _) = reconciling(world).await;
    send!(times, app.store.abandon_reconcile(&holder))
}

async fn reconciling(world: &World) -> (af_store::reconcile_lease::ReconcileHolder, Timestamp) {
    let now = world.app.now();
    (world.app.store.begin_reconcile(NONCE, now).await.unwrap().unwrap(), now)
}
