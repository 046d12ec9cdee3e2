//! Broadcasts: send, show, list and cancel.

use af_domain::ids::{BroadcastId, CompanyId};
use af_domain::push::{Broadcast, BroadcastCounts, BroadcastStatus, check_text, check_words};
use af_domain::refusal::{Code, Refusal};
use af_store::Page;
use af_store::conversation::Commit;
use af_store::idempotency::IdempotentCall;

use super::MAX_TRIES;
use crate::intake::idempotency;
use crate::{App, AppError, Result};

/// Most characters of the name of the person or program that asks for a broadcast.
const MAX_REQUESTED_BY_CHARS: usize = 200;

/// A request for a broadcast.
#[derive(Debug, Clone)]
pub struct NewBroadcast {
    /// The company; `None` for the unnamed one.
    pub company: Option<CompanyId>,
    /// The title.
    pub title: String,
    /// The text.
    pub text: String,
    /// The person or program that asks for it.
    pub requested_by: String,
}

/// Accepts a broadcast. The dispatcher sends it. With `once`, a repetition of the same call returns the same broadcast.
///
/// # Errors
/// Returns 422 with the invalid field.
pub async fn send(app: &App, new: NewBroadcast, once: Option<&IdempotentCall>) -> Result<Broadcast> {
    check_words(&new.title, &new.text)?;
    check_text("requestedBy", &new.requested_by, MAX_REQUESTED_BY_CHARS)?;
    for _ in 0..MAX_TRIES {
        if let Some(made) = idempotency::find_record(app, once).await? {
            return get(app, &BroadcastId::parse(made.id)?).await;
        }
        let now = app.now();
        let broadcast = Broadcast {
            id: BroadcastId::parse(app.entropy.ulid(now))?,
            company: new.company.clone().unwrap_or_else(CompanyId::unnamed),
            title: new.title.clone(),
            text: new.text.clone(),
            requested_by: new.requested_by.clone(),
            status: BroadcastStatus::Running,
            counts: BroadcastCounts::default(),
            cursor: None,
            created_at: now,
            completed_at: None,
        };
        if let Commit::Done = app.store.create_broadcast_if_absent(&broadcast, once).await? {
            return Ok(broadcast);
        }
    }
    Err(AppError::Overtaken("sending a broadcast"))
}

/// Returns a broadcast, or 404 if there is none.
pub async fn get(app: &App, id: &BroadcastId) -> Result<Broadcast> {
    Ok(app.store.broadcast(id).await?.ok_or_else(|| Refusal::not_found(format!("broadcast {id}")))?)
}

/// Returns one page of the broadcasts of a company, the newest first.
pub async fn list(
    app: &App,
    company: &CompanyId,
    limit: u32,
    before: Option<&str>,
) -> Result<Page<Broadcast, String>> {
    Ok(app.store.broadcasts(company, i32::try_from(limit).unwrap_or(i32::MAX), before).await?)
}

/// Stops a broadcast. Targets that have their message keep it. A repeated call gets the same answer.
///
/// # Errors
/// Returns 404 if there is none, and 409 if it has ended.
pub async fn cancel(app: &App, id: &BroadcastId) -> Result<Broadcast> {
    get(app, id).await?;
    let cancelled = app.store.cancel_broadcast_if_running(id, app.now()).await?;
    let broadcast = get(app, id).await?;
    match (cancelled, broadcast.status) {
        (Commit::Done, _) | (Commit::Stale, BroadcastStatus::Cancelled) => Ok(broadcast),
        (Commit::Stale, status) => {
            let detail = format!(
                "broadcast {id} has ended as {}; only a running one can be cancelled",
                status.as_str()
            );
            Err(Refusal::new(Code::Conflict, detail).into())
        }
    }
}
