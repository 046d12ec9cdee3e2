use af_api::pages::{Page, PageQuery};
use af_api::push::PushDispatchBody;
use af_app::push::dispatches::{self, Selection};
use af_domain::ids::BroadcastId;
use af_http::{ApiPath, ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

/// Lists the dispatches of a broadcast, one for each target.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/broadcasts/{broadcastId}/dispatches", tag = "push", operation_id = "listPushDispatchesOfBroadcast",
    security(("apiKey" = ["admin", "read"])), params(PageQuery),
    responses((status = 200, body = Page<PushDispatchBody>)),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiPath(id): ApiPath<BroadcastId>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<PushDispatchBody>>, Problem> {
    let listing = format!("dispatches of broadcast {id}");
    let after = paging::after(&app, &listing, query.cursor.as_deref()).await?;
    let selection = Selection::Of(id.to_string());
    let found = dispatches::list(&app, &selection, query.limit.get(), after.as_deref()).await?;
    let items = found.items.into_iter().map(Into::into).collect();
    Ok(Json(Page::new(items, paging::seal(&app, &listing, found.next).await?)))
}
