//! The keys of push templates, push jobs, dispatches and broadcasts.

use af_domain::ids::{AgentKey, BroadcastId, CompanyId, ConsumerUserId, PushJobId, PushTemplateKey, RunKey};

use super::{Key, ONLY};

/// A push template.
pub fn push_template(company: &CompanyId, key: &PushTemplateKey) -> Key {
    Key::new(push_templates_of(company), key.as_str())
}

/// Returns the partition of the push templates of a company.
pub fn push_templates_of(company: &CompanyId) -> String {
    format!("PT#{company}")
}

/// A push job. The jobs of a user with one agent follow each other.
pub fn push_job(user: &ConsumerUserId, agent: &AgentKey, id: &PushJobId) -> Key {
    Key::new(format!("U#{user}"), format!("{PUSH_JOB_PREFIX}{agent}#{id}"))
}

/// The prefix of the sort keys of push jobs.
pub(crate) const PUSH_JOB_PREFIX: &str = "J#";

/// The figures of the push jobs of a user with one agent.
pub fn push_stats(user: &ConsumerUserId, agent: &AgentKey) -> Key {
    Key::new(format!("U#{user}"), format!("PS#{agent}"))
}

/// The dispatch of a run. The dispatches of a job or a broadcast share a partition.
pub fn push_dispatch(run: &RunKey) -> Key {
    let (mode, id, run) = run.parts();
    Key::new(push_dispatches_of(id), format!("{run}#{mode}"))
}

/// Returns the partition of the dispatches of the job or broadcast with this id.
pub fn push_dispatches_of(id: &str) -> String {
    format!("PD#{id}")
}

/// A broadcast.
pub fn broadcast(id: &BroadcastId) -> Key {
    Key::new(format!("BC#{id}"), ONLY)
}

/// The partition of the push jobs in the ready index.
pub const PUSH_JOBS: &str = "J";

/// The partition of the running broadcasts in the ready index.
pub const BROADCASTS: &str = "B";

/// Returns the partition of the push jobs of a company in the index of messages.
pub fn push_jobs_of_company(company: &CompanyId) -> String {
    format!("PJ#{company}")
}

/// Returns the partition of the broadcasts of a company in the index of messages.
pub fn broadcasts_of_company(company: &CompanyId) -> String {
    format!("BC#{company}")
}

/// Returns the partition of the dispatches of an agent, or of one user with it, in the index of messages.
pub fn push_dispatches_of_agent(agent: &AgentKey, user: Option<&ConsumerUserId>) -> String {
    match user {
        Some(user) => format!("PD#{agent}#{user}"),
        None => format!("PD#{agent}"),
    }
}
