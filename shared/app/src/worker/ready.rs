//! The due entries of the ready index: conversations with work and without an owner.

use af_domain::conversation::Conversation;
use af_domain::policy::Policies;
use af_domain::pool::ReadyConversation;
use af_store::StoreError;

use crate::{App, Result};

/// The number of entries of one shard that a claim reads. A claim tries a random entry of the highest priority. So 64
/// workers that claim at the same time spread over 64 conversations, and two of three workers get their first try.
const READY_PAGE: i32 = 64;

/// The best entries of every shard that are due now. All shards are read at the same time.
pub(super) async fn ready_now(app: &App, policies: &Policies) -> Result<Vec<ReadyConversation>, StoreError> {
    ready_pages(app, policies, READY_PAGE).await
}

/// Whether the owner of `quiet` should release it, because another conversation waits. While workers can be added, a quiet
/// conversation keeps its worker for a while. When no conversation waits, the owner is not asked any more until reconcile
/// finds one.
pub(super) async fn should_switch(app: &App, quiet: &Conversation, policies: &Policies) -> Result<bool> {
    if ready_pages(app, policies, 1).await?.is_empty() {
        app.store.ask_to_switch_if_owned(quiet, false).await?;
        return Ok(false);
    }
    let assigned_at = quiet.owner.as_ref().map(|owner| owner.assigned_at).unwrap_or_default();
    let quiet_for = app.now().since(quiet.active_at.max(assigned_at));
    Ok(quiet_for >= policies.scaling.switch_after_quiet || app.store.reconcile_state().await?.is_short)
}

async fn ready_pages(
    app: &App,
    policies: &Policies,
    limit: i32,
) -> Result<Vec<ReadyConversation>, StoreError> {
    let now = app.now();
    let pages = (0..policies.queue.ready_shards).map(|shard| app.store.ready_page(shard, now, limit, None));
    let pages = futures::future::try_join_all(pages).await?;
    Ok(pages.into_iter().flat_map(|page| page.items).collect())
}
