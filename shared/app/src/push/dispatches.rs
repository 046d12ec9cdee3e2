//! Dispatches: lists of what was dispatched.

use af_domain::ids::{AgentKey, ConsumerUserId};
use af_domain::push::Dispatch;
use af_store::Page;

use crate::{App, Result};

/// The selection of a list of dispatches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Those of the push job or broadcast with this id.
    Of(String),
    /// Those to a user of an agent; without a user, those of broadcasts to an agent without users.
    To {
        /// The agent.
        agent: AgentKey,
        /// The user.
        user: Option<ConsumerUserId>,
    },
}

/// Returns one page of dispatches, the newest first. `after` is the `next` of the page before.
pub async fn list(
    app: &App,
    selection: &Selection,
    limit: u32,
    after: Option<&str>,
) -> Result<Page<Dispatch, String>> {
    let (store, now, limit) = (&app.store, app.now(), i32::try_from(limit).unwrap_or(i32::MAX));
    Ok(match selection {
        Selection::Of(id) => store.push_dispatches_of(id, now, limit, after).await?,
        Selection::To { agent, user } => {
            store.push_dispatches_of_agent(agent, user.as_ref(), now, limit, after).await?
        }
    })
}
