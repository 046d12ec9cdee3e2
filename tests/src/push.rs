//! Bound users and push jobs, for tests of the dispatcher.

use af_app::App;
use af_domain::agent::{Binding, BindingSource, conversation_of};
use af_domain::ids::{AgentKey, BindingId, CompanyId, ConsumerUserId, PushJobId};
use af_domain::push::{PushJob, Schedule, Slot, ZoneName};
use af_domain::time::Timestamp;
use af_store::push::JobPlace;

/// User number `n`.
///
/// # Panics
/// Never: the id is valid.
#[must_use]
pub fn user(n: usize) -> ConsumerUserId {
    ConsumerUserId::parse(format!("user-{n:05}")).expect("the id is valid")
}

/// An id with the number `n` at its end.
fn numbered(n: usize) -> String {
    format!("01KE3N4AZ0{n:016}")
}

/// Binds user number `n` to the agent.
///
/// # Panics
/// When the table refuses the write.
pub async fn bind(app: &App, agent: &AgentKey, n: usize) -> Binding {
    let binding = Binding {
        id: BindingId::parse(numbered(n)).expect("the id is valid"),
        user: user(n),
        agent: agent.clone(),
        conversation: conversation_of(agent, &user(n)).expect("the names are short"),
        telegram: None,
        source: BindingSource::Api,
        bound_at: app.now(),
    };
    app.store.bind_if_unchanged(&binding, &[]).await.expect("the table answers");
    binding
}

/// A job of user number `n` with this schedule in UTC. It waits for the first slot after `from`.
///
/// # Panics
/// When the schedule has no slot.
#[must_use]
pub fn job(agent: &AgentKey, n: usize, schedule: &str, from: Timestamp) -> PushJob {
    let mut job = PushJob {
        id: PushJobId::parse(numbered(n)).expect("the id is valid"),
        company: CompanyId::unnamed(),
        user: user(n),
        agent: agent.clone(),
        template: None,
        title: "Morning".to_owned(),
        text: "What is due today?".to_owned(),
        schedule: Schedule::parse(schedule).expect("a schedule"),
        zone: ZoneName::from_stored("UTC"),
        enabled: true,
        next: None,
        last: None,
        created_at: from,
        updated_at: from,
        version: 1,
    };
    job.next = job.first_run(from).expect("the slot can be computed");
    job
}

/// Stores a job.
///
/// # Panics
/// When the table refuses the write.
pub async fn store(app: &App, job: &PushJob) {
    app.store.create_push_job_if_room(job, None).await.expect("the table answers");
}

/// The place of a job.
#[must_use]
pub fn place(job: &PushJob) -> JobPlace {
    JobPlace { user: job.user.clone(), agent: job.agent.clone(), id: job.id.clone() }
}

/// The slot that a job waits for.
///
/// # Panics
/// When the job waits for none.
#[must_use]
pub fn slot(job: &PushJob) -> Slot {
    job.next.expect("the job waits for a slot")
}
