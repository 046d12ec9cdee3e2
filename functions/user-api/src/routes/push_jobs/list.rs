use af_api::pages::{Page, PageQuery};
use af_api::push::PushJobBody;
use af_app::access::auth::cursor_secret;
use af_app::push::jobs;
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, ApiQuery, CursorKey, Json, Problem};

use crate::caller::ConsumerApp;

/// Lists the push jobs of a user with an agent, the newest first. A key that is bound to a company gets the jobs of this
/// company only, so a page may hold fewer jobs than its limit and still have a next page.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/push-jobs", tag = "push",
    operation_id = "listPushJobsForAgent",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(PageQuery),
    responses((status = 200, body = Page<PushJobBody>)),
)]
pub async fn list(
    ConsumerApp { app, caller, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<PushJobBody>>, Problem> {
    let key = CursorKey::new(&cursor_secret(&app).await?);
    let listing = format!("push-jobs {agent} {user}");
    let before = query.cursor.as_deref().map(|cursor| key.open_in(&listing, cursor)).transpose()?;
    let limit = query.limit.get();
    let mut found = jobs::list(&app, &user, &agent, limit + 1, before.as_deref()).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|job| key.seal_in(&listing, job.id.as_str()));
    found.retain(|job| caller.reaches(&job.company));
    Ok(Json(Page::new(found.into_iter().map(Into::into).collect(), next)))
}
