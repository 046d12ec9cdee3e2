//! What is due in the ready index: conversations with work and without an owner.

use af_domain::policy::Policies;
use af_domain::pool::ReadyConversation;
use af_store::StoreError;

use crate::App;

/// Entries of one shard that a claim reads. A claim picks one of the best at random, and so many claimers can come at the
/// same time before most of them try a conversation that another has taken: 64 claimers spread over 64 entries.
const READY_PAGE: i32 = 64;

/// The best entries of every shard that are due now, read side by side.
pub(super) async fn ready_now(app: &App, policies: &Policies) -> Result<Vec<ReadyConversation>, StoreError> {
    ready_pages(app, policies, READY_PAGE).await
}

/// Whether a conversation without an owner waits for a worker.
pub(super) async fn is_any_ready(app: &App, policies: &Policies) -> Result<bool, StoreError> {
    Ok(!ready_pages(app, policies, 1).await?.is_empty())
}

async fn ready_pages(
    app: &App,
    policies: &Policies,
    limit: i32,
) -> Result<Vec<ReadyConversation>, StoreError> {
    let now = app.now();
    let pages = (0..policies.queue.ready_shards).map(|shard| app.store.ready_page(shard, now, limit, None));
    let pages = futures::future::try_join_all(pages).await?;
    Ok(pages.into_iter().flat_map(|(found, _)| found).collect())
}
