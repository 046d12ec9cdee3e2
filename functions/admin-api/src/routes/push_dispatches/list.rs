use af_api::pages::Page;
use af_api::push::{PushDispatchBody, PushDispatchQuery};
use af_app::push::dispatches::{self, Selection};
use af_domain::refusal::Refusal;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

/// Lists dispatches of a push job, of a broadcast, or to a user of an agent; with several of them, those that match all.
/// Those of a push job are ordered by slot, those to a user by time, both with the newest first. A page may hold fewer
/// dispatches than its limit and still have a next page.
///
/// # Errors
/// 422 when the query names no push job, broadcast or agent, and for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/push-dispatches", tag = "push", operation_id = "listPushDispatches",
    security(("apiKey" = ["admin", "read"])), params(PushDispatchQuery),
    responses((status = 200, body = Page<PushDispatchBody>)),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<PushDispatchQuery>,
) -> Result<Json<Page<PushDispatchBody>>, Problem> {
    let selection = selection(&query)?;
    let filter = filter_of(&query);
    let listing = format!("push-dispatches {selection:?} {filter:?}");
    let after = paging::after(&app, &listing, query.cursor.as_deref()).await?;
    let found = dispatches::list(&app, &selection, query.limit.get(), after.as_deref()).await?;
    let items = found.items.into_iter().map(PushDispatchBody::from).filter(|body| filter.accepts(body));
    Ok(Json(Page::new(items.collect(), paging::seal(&app, &listing, found.next).await?)))
}

fn selection(query: &PushDispatchQuery) -> Result<Selection, Refusal> {
    match (&query.job_id, &query.broadcast_id, &query.agent_key) {
        (Some(job), _, _) => Ok(Selection::Of(job.0.to_string())),
        (None, Some(broadcast), _) => Ok(Selection::Of(broadcast.0.to_string())),
        (None, None, Some(agent)) => {
            let user = query.consumer_user_id.as_ref().map(|user| user.0.clone());
            Ok(Selection::To { agent: agent.0.clone(), user })
        }
        (None, None, None) => {
            Err(Refusal::field("/jobId", "name jobId, broadcastId, or agentKey with consumerUserId"))
        }
    }
}

/// What the dispatches of a selection must have. Without a user, the selection of an agent has those without users.
#[derive(Debug)]
struct Filter {
    broadcast: Option<String>,
    agent: Option<String>,
    user: Option<String>,
}

fn filter_of(query: &PushDispatchQuery) -> Filter {
    Filter {
        broadcast: query.broadcast_id.as_ref().map(|id| id.0.to_string()),
        agent: query.agent_key.as_ref().map(|key| key.0.to_string()),
        user: query.consumer_user_id.as_ref().map(|user| user.0.to_string()),
    }
}

impl Filter {
    fn accepts(&self, dispatch: &PushDispatchBody) -> bool {
        let is = |wanted: &Option<String>, found: Option<&String>| {
            wanted.as_ref().is_none_or(|wanted| Some(wanted) == found)
        };
        is(&self.broadcast, dispatch.broadcast_id.as_ref())
            && is(&self.agent, Some(&dispatch.agent_key))
            && is(&self.user, dispatch.consumer_user_id.as_ref())
    }
}
