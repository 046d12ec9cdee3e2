//! The hold of a conversation whose agent is disabled. It starts no run. Meanwhile it is not in the ready index as ready
//! and its owner counts as quiet, so that it keeps neither workers nor reconcile busy.

use af_domain::conversation::Conversation;
use af_domain::policy::Policies;

use crate::agents::profiles;
use crate::{App, Result};

/// Whether the agent of `conversation` is disabled. The profile may be some seconds old.
pub(crate) async fn is_agent_disabled(app: &App, conversation: &Conversation) -> Result<bool> {
    Ok(profiles::known(app, &conversation.agent).await?.is_some_and(|profile| !profile.enabled))
}

/// Whether a worker may run the next message of `conversation`. If not, because the agent is disabled, the conversation is
/// held. The end of a hold is not awaited when the agent is enabled again.
pub(crate) async fn may_run(app: &App, conversation: &Conversation, policies: &Policies) -> Result<bool> {
    if !is_agent_disabled(app, conversation).await? {
        return Ok(true);
    }
    if conversation.is_held(app.now()) {
        return Ok(false);
    }
    let profile = profiles::now(app, &conversation.agent).await?;
    if profile.is_none_or(|profile| profile.enabled) {
        return Ok(true);
    }
    hold(app, conversation, policies).await?;
    Ok(false)
}

/// Holds `conversation`, unless it has changed meanwhile.
pub(crate) async fn hold(app: &App, conversation: &Conversation, policies: &Policies) -> Result<()> {
    let held = conversation.held(app.now(), policies);
    app.store.repair_if_unchanged(conversation, &held, policies).await?;
    Ok(())
}
