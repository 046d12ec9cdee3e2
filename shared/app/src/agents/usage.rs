//! The figures of a user with an agent, from counters and the ledger.

use af_api::user_agents::UsageStats;
use af_domain::agent::conversation_of;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::time::Timestamp;
use af_store::conversation_key;

use crate::push::jobs;
use crate::queue::ledger;
use crate::{App, Result};

/// Returns the figures of `user` with `agent`. They are zero if the user has not written yet.
pub async fn usage(app: &App, user: &ConsumerUserId, agent: &AgentKey) -> Result<UsageStats> {
    let key = conversation_key(&conversation_of(agent, user)?);
    let (push, conversation, recent) = tokio::join!(
        jobs::stats(app, user, agent),
        app.store.conversation_figures(&key),
        ledger::recent_of(app, user, agent)
    );
    let (push, conversation, recent) = (push?, conversation?, recent?);
    Ok(UsageStats {
        total_push_jobs: push.total_jobs,
        active_push_jobs: push.active_jobs,
        total_dispatches: push.total_dispatches,
        latest_dispatch_at: push.latest_dispatch_at.map(Timestamp::as_millis),
        context_messages: conversation.history,
        queued_messages: conversation.waiting,
        failed_messages: conversation.dead_letters,
        recent: recent.into(),
    })
}
