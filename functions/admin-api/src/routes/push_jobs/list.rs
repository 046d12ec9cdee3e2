use af_api::pages::Page;
use af_api::push::{CompanyQuery, PushJobBody};
use af_app::push::jobs;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

/// Lists the push jobs of a company, the newest first. A page may hold fewer jobs than its limit and still have a next page.
///
/// # Errors
/// 422 for a company, limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/push-jobs", tag = "push", operation_id = "listPushJobs",
    security(("apiKey" = ["admin", "read"])), params(CompanyQuery),
    responses((status = 200, body = Page<PushJobBody>)),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<CompanyQuery>,
) -> Result<Json<Page<PushJobBody>>, Problem> {
    let company = query.company();
    let listing = format!("push-jobs of {company}");
    let before = paging::after(&app, &listing, query.cursor.as_deref()).await?;
    let found = jobs::list_of_company(&app, &company, query.limit.get(), before.as_deref()).await?;
    let items = found.items.into_iter().map(Into::into).collect();
    Ok(Json(Page::new(items, paging::seal(&app, &listing, found.next).await?)))
}
