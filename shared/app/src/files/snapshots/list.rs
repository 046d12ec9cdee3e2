//! The snapshots of a user's conversation.

use af_api::snapshots::SnapshotBody;
use af_aws::objects::Objects;
use af_domain::agent::conversation_of;
use af_domain::ids::{AgentKey, ConsumerUserId, ConversationId, SnapshotId};
use af_domain::refusal::Refusal;
use af_domain::snapshot::{Snapshot, SnapshotStatus};
use af_store::{Page, conversation_key};

use super::latest::download_url;
use crate::{App, Result};

/// Returns one page of the snapshots of `user`'s conversation with `agent`, the newest first, starting after
/// `after`. The cursor is the id of the last one. A user without a conversation has an empty page.
pub async fn of_user(
    app: &App,
    objects: &Objects,
    user: &ConsumerUserId,
    agent: &AgentKey,
    limit: u32,
    after: Option<&SnapshotId>,
) -> Result<Page<SnapshotBody, SnapshotId>> {
    let key = conversation_key(&conversation_of(agent, user)?);
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let Page { items, next } = app.store.snapshots_of(&key, limit, after).await?;
    let views = futures::future::try_join_all(items.into_iter().map(|snapshot| view(objects, snapshot)));
    Ok(Page { items: views.await?, next })
}

/// Returns one page of the snapshots of a conversation for an operator, without download URLs: files belong to users.
/// The newest is the first. Returns 404 if there is no such conversation.
pub async fn of_conversation(
    app: &App,
    conversation: &ConversationId,
    limit: u32,
    after: Option<&SnapshotId>,
) -> Result<Page<SnapshotBody, SnapshotId>> {
    let key = conversation_key(conversation);
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let (meta, page) =
        tokio::join!(app.store.conversation(&key, false), app.store.snapshots_of(&key, limit, after));
    if meta?.is_none() {
        return Err(Refusal::not_found(format!("conversation {conversation}")).into());
    }
    let Page { items, next } = page?;
    Ok(Page { items: items.into_iter().map(|snapshot| SnapshotBody::new(snapshot, None)).collect(), next })
}

/// Returns the latest ready snapshot of `user`'s conversation with `agent`, or 404 if there is none.
pub async fn latest_of_user(
    app: &App,
    objects: &Objects,
    user: &ConsumerUserId,
    agent: &AgentKey,
) -> Result<SnapshotBody> {
    let latest = app.store.latest_snapshot(&conversation_key(&conversation_of(agent, user)?)).await?;
    let missing = || Refusal::not_found(format!("snapshot of user {user} with agent {agent}"));
    view(objects, latest.ok_or_else(missing)?).await
}

async fn view(objects: &Objects, snapshot: Snapshot) -> Result<SnapshotBody> {
    let url = match snapshot.status {
        SnapshotStatus::Ready { .. } => Some(download_url(objects, &snapshot).await?),
        _ => None,
    };
    Ok(SnapshotBody::new(snapshot, url))
}
