use af_api::broadcasts::BroadcastBody;
use af_api::pages::Page;
use af_api::push::CompanyQuery;
use af_app::push::broadcasts;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

/// Lists the broadcasts of a company, the newest first.
///
/// # Errors
/// 422 for a company, limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/broadcasts", tag = "push", operation_id = "listBroadcasts",
    security(("apiKey" = ["admin", "read"])), params(CompanyQuery),
    responses((status = 200, body = Page<BroadcastBody>)),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<CompanyQuery>,
) -> Result<Json<Page<BroadcastBody>>, Problem> {
    let company = query.company();
    let listing = format!("broadcasts {company}");
    let before = paging::after(&app, &listing, query.cursor.as_deref()).await?;
    let found = broadcasts::list(&app, &company, query.limit.get(), before.as_deref()).await?;
    let items = found.items.into_iter().map(Into::into).collect();
    Ok(Json(Page::new(items, paging::seal(&app, &listing, found.next).await?)))
}
