//! Writes of push templates, push jobs and broadcasts.

use af_app::App;
use af_domain::ids::{AgentKey, BroadcastId, CompanyId, PushTemplateKey, RunKey};
use af_domain::message::{Message, MessageStatus, Payload};
use af_domain::push::{
    Broadcast, BroadcastCounts, BroadcastStatus, BroadcastTarget, Dispatch, DispatchSource, DispatchStatus,
    Periodicity, PushJob, PushTemplate,
};
use af_domain::time::Millis;
use af_store::conversation::NewMessage;
use af_store::conversation_key;
use af_store::message::MessageItem;
use af_store::push::{Progress, Run, RunningBroadcast};
use af_tests::push::{self, slot};

use super::policies;
use crate::world::{AGENT, World};

const LATER: Millis = Millis::from_secs(60);

fn agent() -> AgentKey {
    AgentKey::parse(AGENT).unwrap()
}

fn template(world: &World) -> PushTemplate {
    PushTemplate {
        company: CompanyId::unnamed(),
        key: PushTemplateKey::parse("morning").unwrap(),
        title: "Morning".into(),
        text: "What is due today?".into(),
        periodicity: Periodicity::Manual,
        suggested: Vec::new(),
        enabled: true,
        created_by: "op".into(),
        updated_by: "op".into(),
        created_at: world.app.now(),
        updated_at: world.app.now(),
    }
}

pub async fn create_push_template_if_absent(world: &World, app: &App, times: usize) -> Vec<String> {
    let template = template(world);
    send!(times, app.store.create_push_template_if_absent(&template, None))
}

pub async fn change_push_template_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let before = template(world);
    world.app.store.create_push_template_if_absent(&before, None).await.unwrap();
    let after = PushTemplate { enabled: false, updated_at: world.app.now() + LATER, ..before.clone() };
    send!(times, app.store.change_push_template_if_unchanged(&before, &after))
}

fn new_job(world: &World) -> PushJob {
    push::job(&agent(), 1, "daily 09:30", world.app.now())
}

async fn stored_job(world: &World) -> PushJob {
    push::bind(&world.app, &agent(), 1).await;
    let job = new_job(world);
    push::store(&world.app, &job).await;
    job
}

pub async fn create_push_job_if_room(world: &World, app: &App, times: usize) -> Vec<String> {
    let job = new_job(world);
    send!(times, app.store.create_push_job_if_room(&job, None))
}

pub async fn change_push_job_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let before = stored_job(world).await;
    let after = PushJob { enabled: false, next: None, version: 2, ..before.clone() };
    send!(times, app.store.change_push_job_if_unchanged(&before, &after))
}

pub async fn delete_push_job_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let job = stored_job(world).await;
    send!(times, app.store.delete_push_job_if_unchanged(&job))
}

pub async fn postpone_push_job_if_waiting(world: &World, app: &App, times: usize) -> Vec<String> {
    let place = push::place(&stored_job(world).await);
    send!(times, app.store.postpone_push_job_if_waiting(&place, app.now() + LATER))
}

/// A record with its message, in a conversation that exists: the first write of an enqueue expects that.
async fn pushed(world: &World, job: &PushJob, run_key: RunKey) -> (Dispatch, NewMessage) {
    world.enqueue(&super::conversation(), None).await;
    let now = world.app.now();
    let mut message = world.message(&super::conversation(), None);
    message.payload = Payload { message_text: job.text.clone(), ..message.payload };
    let id = run_key.message_id();
    let entry = af_domain::conversation::Entry {
        message: id.clone(),
        priority: af_domain::conversation::Priority::new(50).unwrap(),
        due: now,
        scheduled: false,
        attempts: 0,
        drained: 0,
        max_attempts: 8,
        not_before: af_domain::time::Timestamp::default(),
        first_fence: None,
        revised: false,
    };
    let item = MessageItem::new(&Message {
        id: id.clone(),
        conversation: message.conversation.clone(),
        key: conversation_key(&message.conversation),
        agent: job.agent.clone(),
        status: MessageStatus::Queued,
        priority: entry.priority,
        due: now,
        enqueued_at: now,
        payload: message.payload,
        attempts: 0,
        last_error: None,
        reply: None,
        delivery: None,
        finished_at: None,
        fence: None,
        max_attempts: None,
        first_fence: None,
        attempt_log: Vec::new(),
        retried_by: None,
        retried_at: None,
        fetched_by: None,
        body_hash: "c0ffee".into(),
    });
    let record = Dispatch {
        source: DispatchSource::Job(job.id.clone()),
        run_key,
        user: Some(job.user.clone()),
        agent: job.agent.clone(),
        scheduled_for: now,
        status: DispatchStatus::Enqueued,
        message: Some(id),
        error: None,
        created_at: now,
    };
    let new = NewMessage {
        conversation: message.conversation,
        agent: job.agent.clone(),
        entry,
        item,
        limit: None,
        template: None,
    };
    (record, new)
}

pub async fn dispatch_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let job = stored_job(world).await;
    let (record, message) = pushed(world, &job, RunKey::scheduled(&job.id, slot(&job).at)).await;
    let next = push::job(&agent(), 1, "daily 09:30", slot(&job).at);
    let records = [record];
    let run =
        Run { job: &job, records: &records, message: Some(&message), next: slot(&next), look_again_at: None };
    send!(times, app.store.dispatch_if_unchanged(&run, app.now(), &policies()))
}

pub async fn trigger_if_new(world: &World, app: &App, times: usize) -> Vec<String> {
    let job = stored_job(world).await;
    let (record, message) = pushed(world, &job, RunKey::manual(&job.id, app.now())).await;
    send!(times, app.store.trigger_if_new(&job, &record, &message, None, &policies()))
}

fn broadcast(world: &World) -> Broadcast {
    Broadcast {
        id: BroadcastId::parse("01KE3N4AZ0000000000000000B").unwrap(),
        company: CompanyId::unnamed(),
        title: "News".into(),
        text: "We have moved.".into(),
        requested_by: "op".into(),
        status: BroadcastStatus::Running,
        counts: BroadcastCounts::default(),
        cursor: None,
        created_at: world.app.now(),
        completed_at: None,
    }
}

async fn running_broadcast(world: &World) -> Broadcast {
    let broadcast = broadcast(world);
    world.app.store.create_broadcast_if_absent(&broadcast, None).await.unwrap();
    broadcast
}

pub async fn create_broadcast_if_absent(world: &World, app: &App, times: usize) -> Vec<String> {
    let broadcast = broadcast(world);
    send!(times, app.store.create_broadcast_if_absent(&broadcast, None))
}

pub async fn take_broadcast_if_due(world: &World, app: &App, times: usize) -> Vec<String> {
    let broadcast = running_broadcast(world).await;
    let running = RunningBroadcast { id: broadcast.id, due_at: broadcast.created_at };
    send!(times, app.store.take_broadcast_if_due(&running, app.now() + LATER))
}

pub async fn send_to_target_if_absent(world: &World, app: &App, times: usize) -> Vec<String> {
    let (broadcast, job) = (running_broadcast(world).await, new_job(world));
    let run = RunKey::broadcast(&broadcast.id, &agent(), Some(&job.user));
    let (record, message) = pushed(world, &job, run).await;
    send!(times, app.store.send_to_target_if_absent(&record, Some(&message), &policies()))
}

pub async fn advance_broadcast_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let broadcast = running_broadcast(world).await;
    let progress = Progress {
        cursor: Some(BroadcastTarget { agent: agent(), user: Some(push::user(1)) }),
        counts: BroadcastCounts { targets: 1, enqueued: 1, failed: 0 },
        ends: None,
        held_until: app.now() + LATER,
    };
    send!(times, app.store.advance_broadcast_if_unchanged(&broadcast.id, None, &progress))
}

pub async fn cancel_broadcast_if_running(world: &World, app: &App, times: usize) -> Vec<String> {
    let broadcast = running_broadcast(world).await;
    send!(times, app.store.cancel_broadcast_if_running(&broadcast.id, app.now()))
}
