//! Signs of life: a worker that polls is alive. One is written at most once a minute for each instance of the function, and
//! the answer to that write replaces a read.

use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationKey, WorkerId};
use af_domain::worker::Worker;

use super::assignment::assignment;
use crate::{App, Result};

/// Requires that the worker has not stopped, and writes its sign of life when one is due. Returns 401 if it has
/// stopped.
pub async fn alive(app: &App, worker: &WorkerId) -> Result<()> {
    may_still_ask(app, worker).await?;
    touch_worker(app, worker).await
}

/// Requires that the worker has not stopped, and writes nothing. A worker that boots has its boot grace until its
/// first sign of life, and much less time after it. Returns 401 if it has stopped.
pub async fn may_still_ask(app: &App, worker: &WorkerId) -> Result<()> {
    assignment(app, worker).await.map(drop)
}

/// Writes the worker's sign of life when one is due.
pub(super) async fn touch_worker(app: &App, worker: &WorkerId) -> Result<()> {
    let now = app.now();
    if app.signs_of_life.get(worker, now).is_none() {
        app.store.seen_if_registered(worker, now).await?;
        note_sign_of_life(app, worker);
    }
    Ok(())
}

/// A write that serves as the worker's sign of life was committed.
pub(super) fn note_sign_of_life(app: &App, worker: &WorkerId) {
    app.signs_of_life.put(worker.clone(), (), app.now());
}

/// The worker's row: read, or written as a sign of life when one is due.
pub(super) async fn read_or_touch_worker(app: &App, worker: &WorkerId) -> Result<Option<Worker>> {
    let now = app.now();
    if app.signs_of_life.get(worker, now).is_some() {
        return match app.store.worker(worker).await? {
            // It may have been registered a moment ago.
            None => Ok(app.store.worker_now(worker).await?),
            row => Ok(row),
        };
    }
    let row = app.store.seen_if_registered(worker, now).await?;
    note_sign_of_life(app, worker);
    Ok(row)
}

/// The conversation that the worker believes it owns: read, or written as the owner's sign of life when one is due. `None`
/// when the worker does not own it.
pub(super) async fn read_or_touch_owned(
    app: &App,
    worker: &WorkerId,
    key: &ConversationKey,
) -> Result<Option<Conversation>> {
    if app.signs_of_life.get(worker, app.now()).is_some() {
        return Ok(app.store.conversation(key, false).await?.filter(|c| c.is_owned_by(worker)));
    }
    touch_owned(app, worker, key).await
}

/// The conversation that the worker's row names, with a sign of life when one is due. `None` when the worker does not own
/// it: an eventually consistent row may name a conversation that the worker has released.
pub(super) async fn owned_by_row(app: &App, row: &Worker) -> Result<Option<Conversation>> {
    let Some(assignment) = &row.assignment else { return Ok(None) };
    if app.signs_of_life.get(&row.id, app.now()).is_some() {
        let conversation = app.store.conversation(&assignment.key, true).await?;
        return Ok(conversation.filter(|c| c.is_owned_by(&row.id)));
    }
    touch_owned(app, &row.id, &assignment.key).await
}

async fn touch_owned(app: &App, worker: &WorkerId, key: &ConversationKey) -> Result<Option<Conversation>> {
    let conversation = app.store.seen_if_owner(key, worker, app.now()).await?;
    if conversation.is_some() {
        note_sign_of_life(app, worker);
    }
    Ok(conversation)
}
