//! The costs of workers' calls: polls, claims, heartbeats, history, and the ends of a message.

use af_api::documents::PutDocumentRequest;
use af_app::documents::{Scope, WorkspaceWanted, put};
use af_app::worker::{Poll, Retry, Wants, append, fail, heartbeat, poll};
use af_domain::agent::user_of;
use af_domain::ids::{ConversationId, DocumentPath, WorkerId};

use crate::figures::{Figures, Row, any_requests, at_most};
use crate::world::{A_MINUTE, A_SECOND, ALMOST_A_MINUTE, RunningMessage, TEXT, World, entries_of};

/// History entries of a bundle by default.
const CONTEXT_ENTRIES: usize = 64;
/// Bytes of each of these entries.
const CONTEXT_ENTRY_BYTES: usize = 400;
/// Limit of the entries of one append.
const MAX_APPEND_ENTRIES: usize = 50;
/// The number of the first update in this file. Other rows use lower numbers.
const FIRST_UPDATE: u64 = 100;

pub async fn rows(world: &World) -> Vec<Row> {
    let mut rows = claims(world).await;
    rows.extend(idle_polls(world).await);
    rows.extend(lease(world).await);
    rows.extend(ends(world).await);
    rows.extend(whole_lives(world).await);
    rows
}

async fn claims(world: &World) -> Vec<Row> {
    let (owner, conversation) = world.idle_owner().await;
    world.enqueue(world.message(&conversation)).await;
    let (polled, owned) = world.measure(world.poll_owned(&owner, &conversation, false)).await;
    world.complete(&RunningMessage::of(&owner, &polled), 0).await;
    world.bundle.clock.advance(A_MINUTE);
    world.enqueue(world.message(&conversation)).await;
    let (polled, owned_alive) = world.measure(world.poll_owned(&owner, &conversation, false)).await;
    assert!(polled.job.is_some());

    let [free, free_alive] = free_claims(world).await;
    // One request more than a message of no user needs: the binding in force, read beside the message, names the chat.
    vec![
        Row::new(
            "claim, assigned worker, with the message's body",
            owned,
            at_most(4, 2).writes(2).reads(2.0),
        ),
        Row::new("… when its sign of life is due", owned_alive, at_most(4, 2).writes(2).reads(2.0)),
        Row::new(
            "claim, unassigned worker, with the message's body",
            free,
            at_most(6, 3).writes(5).reads(3.5),
        ),
        Row::new("… when its sign of life is due ¹", free_alive, at_most(6, 3).writes(5 + 1).reads(3.5)),
    ]
}

/// Claims of workers without a conversation: one with a recent sign of life, and one whose next sign of life is due.
async fn free_claims(world: &World) -> [Figures; 2] {
    let free = [living_worker(world).await, living_worker(world).await];
    let claim = async |worker: &WorkerId| {
        world.enqueue(world.message(&world.new_conversation())).await;
        let (polled, figures) = world.measure(world.poll_free(worker, false)).await;
        world.complete(&RunningMessage::of(worker, &polled), 0).await;
        figures
    };
    world.bundle.clock.advance(ALMOST_A_MINUTE);
    let alive = claim(&free[0]).await;
    world.bundle.clock.advance(A_SECOND);
    [alive, claim(&free[1]).await]
}

/// A worker without a conversation. Its last poll was just before, found no message, and was its sign of life.
pub async fn living_worker(world: &World) -> WorkerId {
    let worker = world.worker().await;
    assert!(world.poll_free(&worker, false).await.job.is_none());
    worker
}

async fn idle_polls(world: &World) -> Vec<Row> {
    let (owner, conversation) = world.idle_owner().await;
    let (_, assigned) = world.measure(world.poll_owned(&owner, &conversation, false)).await;
    let free = living_worker(world).await;
    let (polled, unassigned) = world.measure(world.poll_free(&free, false)).await;
    assert!(polled.job.is_none() && !polled.control.should_stop);

    world.bundle.clock.advance(ALMOST_A_MINUTE);
    world.poll_free(&free, false).await;
    world.bundle.clock.advance(A_SECOND);
    let (_, alive_assigned) = world.measure(world.poll_owned(&owner, &conversation, false)).await;
    let (polled, alive_unassigned) = world.measure(world.poll_free(&free, false)).await;
    assert!(polled.job.is_none() && !polled.control.should_stop);
    vec![
        Row::new("poll, nothing to do, assigned worker", assigned, at_most(1, 1).reads(1.0)),
        Row::new(
            "… once a minute, with its sign of life",
            alive_assigned,
            at_most(1, 1).writes(1).reads(1.0),
        ),
        Row::new("poll, nothing to do, unassigned worker", unassigned, at_most(2, 1).reads(1.0)),
        Row::new(
            "… once a minute, with its sign of life",
            alive_unassigned,
            at_most(2, 1).writes(1).reads(0.5),
        ),
    ]
}

async fn lease(world: &World) -> Vec<Row> {
    let running = world.busy_owner(None).await;
    let (_, heartbeat) = world.measure(send_heartbeat(world, &running)).await;
    let (_, appended) = world.measure(append_to(world, &running, 0, 2, TEXT)).await;
    let [unchanged, changed] = workspace(world).await;
    vec![
        Row::new("heartbeat", heartbeat, at_most(1, 1).writes(1)),
        Row::new(
            "hydrate, 64 history entries of 400 B, beside the claim",
            hydrate(world).await,
            at_most(2, 1).reads(9.0),
        ),
        Row::new(
            "… the workspace, unchanged for the worker, beside the history",
            unchanged,
            at_most(1, 1).reads(1.0),
        ),
        Row::new(
            "… the workspace with 8 documents of 1 KB, after a change",
            changed,
            at_most(3, 3).reads(11.0),
        ),
        Row::new("append 2 history entries", appended, at_most(1, 1).writes(6)),
    ]
}

/// The additional cost of the workspace in a bundle: for a worker that has it, and for one that has not.
async fn workspace(world: &World) -> [Figures; 2] {
    let (worker, conversation) = world.idle_owner().await;
    let user = user_of(&conversation, &world.agent);
    let scope = Scope { agent: world.agent.clone(), user };
    for path in ["USER.md", "MEMORY.md"]
        .into_iter()
        .map(str::to_owned)
        .chain((1..=6).map(|d| format!("memory/2026-01-0{d}.md")))
    {
        // Text that is compressed to less than a KB.
        let content = Some(TEXT.repeat(4)[..1_024].to_owned());
        let request = PutDocumentRequest { content, ..PutDocumentRequest::default() };
        put(&world.app, &scope, &DocumentPath::parse(path).unwrap(), request, "key:a").await.unwrap();
    }
    let claim = async |workspace: WorkspaceWanted| {
        world.enqueue(world.message(&conversation)).await;
        let wants = Wants::JobWithBundle { since: None, workspace };
        let request = Poll { conversation: Some(conversation.clone()), wants, ..Poll::default() };
        let (polled, cost) = world.measure(poll(&world.app, &worker, &request)).await;
        let polled = polled.unwrap();
        world.complete(&RunningMessage::of(&worker, &polled), 0).await;
        (cost, polled.bundle.and_then(|bundle| bundle.workspace))
    };
    let (nothing, _) = claim(WorkspaceWanted::Nothing).await;
    let (changed, found) = claim(WorkspaceWanted::Everything).await;
    let found = found.unwrap();
    assert_eq!(found.content.unwrap().documents.len(), 2);
    let (unchanged, found) = claim(WorkspaceWanted::UnlessFingerprint(found.fingerprint)).await;
    assert!(found.unwrap().content.is_none());
    [unchanged - nothing, changed - nothing]
}

/// The additional cost of the bundle in a poll.
async fn hydrate(world: &World) -> Figures {
    let running = world.busy_owner(None).await;
    let content = "h".repeat(CONTEXT_ENTRY_BYTES);
    append_to(world, &running, 0, MAX_APPEND_ENTRIES, &content).await;
    append_to(world, &running, MAX_APPEND_ENTRIES as u64, CONTEXT_ENTRIES - MAX_APPEND_ENTRIES, &content)
        .await;
    world.complete(&running, 0).await;
    let RunningMessage { worker, conversation, .. } = running;
    let mut costs = Vec::new();
    for hydrate in [false, true] {
        world.enqueue(world.message(&conversation)).await;
        let (polled, cost) = world.measure(world.poll_owned(&worker, &conversation, hydrate)).await;
        let entries = polled.bundle.as_ref().map_or(0, |b| b.context_history.len());
        assert_eq!(entries, if hydrate { CONTEXT_ENTRIES } else { 0 });
        world.complete(&RunningMessage::of(&worker, &polled), 0).await;
        costs.push(cost);
    }
    costs[1] - costs[0]
}

pub async fn send_heartbeat(world: &World, running: &RunningMessage) {
    let answer =
        heartbeat(&world.app, &running.worker, &running.message, &running.lease, Some("thinking")).await;
    assert!(answer.unwrap().held);
}

pub async fn append_to(world: &World, running: &RunningMessage, ordinal: u64, count: usize, content: &str) {
    let entries = entries_of(count, content, world);
    let RunningMessage { worker, conversation, lease, .. } = running;
    append(&world.app, worker, conversation, lease, ordinal, &entries, None).await.unwrap();
}

async fn ends(world: &World) -> Vec<Row> {
    let running = world.busy_owner(None).await;
    let (_, completed) = world.measure(world.complete(&running, 0)).await;
    let running = world.busy_owner(None).await;
    let (_, with_history) = world.measure(world.complete(&running, 2)).await;
    let running = world.busy_owner(None).await;
    let requeued = report_failure(world, &running, true).await;
    let running = world.busy_owner(Some(1)).await;
    let dead = report_failure(world, &running, false).await;
    let fail_ceiling = at_most(2, 2).writes(6).reads(1.0);
    // The person gets a notice, whose chat is that of the message and of its user's binding.
    let dead_ceiling = at_most(4, 4).writes(6).reads(2.5);
    vec![
        Row::new("complete", completed, at_most(1, 1).writes(4)),
        Row::new("complete with 2 history entries", with_history, at_most(1, 1).writes(8)),
        Row::new("fail → waits for its retry", requeued, fail_ceiling),
        Row::new("fail → dead letter, with its mark", dead, dead_ceiling),
    ]
}

pub async fn report_failure(world: &World, running: &RunningMessage, requeued: bool) -> Figures {
    let RunningMessage { worker, message, lease, .. } = running;
    let call = fail(&world.app, worker, message, lease, "the engine answered nothing", Retry::After(None));
    let (failed, figures) = world.measure(call).await;
    assert_eq!(failed.unwrap().requeued, requeued);
    figures
}

/// The costs of a message from the enqueue to its end.
async fn whole_lives(world: &World) -> Vec<Row> {
    let (worker, conversation) = world.idle_owner().await;
    let (_, accepted) = world.measure(world.enqueue(world.message(&conversation))).await;
    let (polled, claimed) = world.measure(world.poll_owned(&worker, &conversation, true)).await;
    let owned = accepted + claimed + work(world, &RunningMessage::of(&worker, &polled)).await;

    let unowned = life_without_owner(world).await;
    vec![
        Row::new("whole life, owned conversation ²", owned, any_requests().writes(17)),
        Row::new("… by Telegram ²", life_by_telegram(world).await, any_requests().writes(17)),
        Row::new("whole life, conversation without an owner ²", unowned, any_requests().writes(22)),
    ]
}

async fn life_without_owner(world: &World) -> Figures {
    let (worker, conversation) = (living_worker(world).await, world.idle_conversation().await);
    let (_, accepted) = world.measure(world.enqueue(world.message(&conversation))).await;
    let (polled, claimed) = world.measure(world.poll_free(&worker, true)).await;
    accepted + claimed + work(world, &RunningMessage::of(&worker, &polled)).await
}

async fn life_by_telegram(world: &World) -> Figures {
    let chat = TelegramChat::after_its_first_message(world).await;
    chat.next_message(world).await
}

/// A conversation in a chat, whose worker waits for the next message.
pub struct TelegramChat {
    conversation: ConversationId,
    chat: u64,
    worker: WorkerId,
}

impl TelegramChat {
    pub async fn after_its_first_message(world: &World) -> Self {
        let (conversation, chat) = world.bound_user().await;
        world.push(FIRST_UPDATE, chat).await;
        let worker = world.owner(&conversation).await;
        let running = world.claim(&worker, &conversation).await;
        world.complete(&running, 0).await;
        Self { conversation, chat, worker }
    }

    /// The cost of the second message, from its update to its end.
    pub async fn next_message(&self, world: &World) -> Figures {
        let (_, accepted) = world.measure(world.push(FIRST_UPDATE + 1, self.chat)).await;
        let (polled, claimed) = world.measure(world.poll_owned(&self.worker, &self.conversation, true)).await;
        accepted + claimed + work(world, &RunningMessage::of(&self.worker, &polled)).await
    }
}

async fn work(world: &World, running: &RunningMessage) -> Figures {
    let (_, heartbeat) = world.measure(send_heartbeat(world, running)).await;
    let (_, appended) = world.measure(append_to(world, running, 0, 2, TEXT)).await;
    let (_, completed) = world.measure(world.complete(running, 0)).await;
    heartbeat + appended + completed
}
