use af_api::pages::Page;
use af_api::push::{PushDispatchBody, PushDispatchQuery};
use af_app::push::dispatches::{self, Selection};
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

/// Lists what was dispatched to a user of an agent, by push jobs and broadcasts, the newest first. Without a user, the list has
/// the dispatches of broadcasts to an agent without users.
///
/// # Errors
/// 422 for an agent, user, limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/push-dispatches", tag = "push", operation_id = "listPushDispatches",
    security(("apiKey" = ["admin", "read"])), params(PushDispatchQuery),
    responses((status = 200, body = Page<PushDispatchBody>)),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<PushDispatchQuery>,
) -> Result<Json<Page<PushDispatchBody>>, Problem> {
    let selection =
        Selection::To { agent: query.agent_key.0, user: query.consumer_user_id.map(|user| user.0) };
    let listing = format!("push-dispatches {selection:?}");
    let after = paging::after(&app, &listing, query.cursor.as_deref()).await?;
    let found = dispatches::list(&app, &selection, query.limit.get(), after.as_deref()).await?;
    let items = found.items.into_iter().map(Into::into).collect();
    Ok(Json(Page::new(items, paging::seal(&app, &listing, found.next).await?)))
}
