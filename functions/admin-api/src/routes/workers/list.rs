use af_api::pages::{Page, PageQuery};
use af_api::workers::WorkersAnswer;
use af_app::pool::reconcile::last_report;
use af_app::pool::workers;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

const LISTING: &str = "workers";

/// Lists workers.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/workers",
    operation_id = "listWorkers", tag = "workers",
    security(("apiKey" = ["admin", "read"])), params(PageQuery),
    responses((status = 200, body = inline(WorkersAnswer))),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<WorkersAnswer>, Problem> {
    let after = paging::after(&app, LISTING, query.cursor.as_deref()).await?;
    let (items, next) = workers::list(&app, query.limit.get(), after.as_deref()).await?;
    let page = Page::new(items, paging::seal(&app, LISTING, next).await?);
    Ok(Json(WorkersAnswer { page, last_reconcile: last_report(&app).await? }))
}
