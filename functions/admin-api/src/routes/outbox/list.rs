use af_api::outbox::OutboxBody;
use af_api::pages::{Page, PageQuery};
use af_app::outbox;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

const LISTING: &str = "outbox";

/// Lists the chats for which messages wait, those that are due first.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/outbox",
    operation_id = "listOutbox", tag = "outbox",
    security(("apiKey" = ["admin", "read"])), params(PageQuery),
    responses((status = 200, body = Page<OutboxBody>)),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<OutboxBody>>, Problem> {
    let after = paging::after(&app, LISTING, query.cursor.as_deref()).await?;
    let (items, next) = outbox::list(&app, query.limit.get(), after.as_deref()).await?;
    let items: Vec<OutboxBody> = items.into_iter().map(OutboxBody::from).collect();
    Ok(Json(Page::new(items, paging::seal(&app, LISTING, next).await?)))
}
