//! Dispatches: lists of what was dispatched.

use std::collections::BTreeMap;

use af_domain::ids::{AgentKey, CompanyId, ConsumerUserId};
use af_domain::push::{Dispatch, DispatchSource};
use af_store::Page;

use super::jobs::JobPlace;
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

/// Keeps the dispatches to `user` whose push job or broadcast belongs to `company`. Each of them costs one read, because a
/// dispatch does not name its company. The dispatches of a deleted job are left out.
pub async fn retain_of_company(
    app: &App,
    dispatches: &mut Vec<Dispatch>,
    user: &ConsumerUserId,
    company: &CompanyId,
) -> Result<()> {
    let mut owned: BTreeMap<String, bool> = BTreeMap::new();
    for Dispatch { source, agent, .. } in dispatches.iter() {
        if owned.contains_key(id_of(source)) {
            continue;
        }
        let owner = match source {
            DispatchSource::Job(id) => {
                let place = JobPlace { user: user.clone(), agent: agent.clone(), id: id.clone() };
                app.store.push_job(&place).await?.map(|job| job.company)
            }
            DispatchSource::Broadcast(id) => {
                app.store.broadcast(id).await?.map(|broadcast| broadcast.company)
            }
        };
        owned.insert(id_of(source).to_owned(), owner.as_ref() == Some(company));
    }
    dispatches.retain(|dispatch| owned.get(id_of(&dispatch.source)) == Some(&true));
    Ok(())
}

fn id_of(source: &DispatchSource) -> &str {
    match source {
        DispatchSource::Job(id) => id.as_str(),
        DispatchSource::Broadcast(id) => id.as_str(),
    }
}
