use af_api::pages::Page;
use af_api::push::{PushDispatchBody, PushDispatchQuery};
use af_app::push::dispatches::{self, Selection};
use af_domain::refusal::Refusal;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

/// Lists dispatches of a push job, of a broadcast, or to a user of an agent. Those of a push job are ordered by slot, those to
/// a user by time, both with the newest first. A page may hold fewer dispatches than its limit and still have a next page.
///
/// # Errors
/// 422 when the query selects nothing or more than one list, and for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/push-dispatches", tag = "push", operation_id = "listPushDispatches",
    security(("apiKey" = ["admin", "read"])), params(PushDispatchQuery),
    responses((status = 200, body = Page<PushDispatchBody>)),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<PushDispatchQuery>,
) -> Result<Json<Page<PushDispatchBody>>, Problem> {
    let (limit, cursor) = (query.limit.get(), query.cursor.clone());
    let selection = selection(query)?;
    let listing = format!("push-dispatches {selection:?}");
    let after = paging::after(&app, &listing, cursor.as_deref()).await?;
    let found = dispatches::list(&app, &selection, limit, after.as_deref()).await?;
    let items = found.items.into_iter().map(Into::into).collect();
    Ok(Json(Page::new(items, paging::seal(&app, &listing, found.next).await?)))
}

fn selection(query: PushDispatchQuery) -> Result<Selection, Refusal> {
    match (query.job_id, query.broadcast_id, query.agent_key, query.consumer_user_id) {
        (Some(job), None, None, None) => Ok(Selection::Of(job.0.to_string())),
        (None, Some(broadcast), None, None) => Ok(Selection::Of(broadcast.0.to_string())),
        (None, None, Some(agent), user) => {
            Ok(Selection::To { agent: agent.0, user: user.map(|user| user.0) })
        }
        _ => {
            let detail = "name jobId, broadcastId, or agentKey with consumerUserId, and only one of them";
            Err(Refusal::field("/jobId", detail))
        }
    }
}
