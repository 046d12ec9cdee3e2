//! `GET /v1/workers`: the workers that are not stopped, and what the last reconcile did.

use af_app::pool::reconcile::{Report, last_report};
use af_app::pool::workers;
use af_http::{ApiQuery, Page, Problem};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::WorkerBody;
use crate::Shared;
use crate::caller::Viewer;
use crate::paging::{self, PageQuery};

const LISTING: &str = "workers";

/// A page of workers by id, with the report of the last reconcile.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    #[serde(flatten)]
    page: Page<WorkerBody>,
    /// Null before the first run.
    last_reconcile: Option<Report>,
}

/// Lists workers.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/workers", tag = "workers",
    security(("apiKey" = ["admin", "read"])), params(PageQuery),
    responses((status = 200, body = inline(Answer))),
)]
pub async fn list(
    State(app): State<Shared>,
    _: Viewer,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Answer>, Problem> {
    let after = paging::after(&app, LISTING, query.cursor.as_deref()).await?;
    let (found, next) = workers::list(&app, paging::count(query.limit), after.as_deref()).await?;
    let items = found.into_iter().map(Into::into).collect();
    let page = paging::page(&app, LISTING, items, next).await?;
    Ok(Json(Answer { page, last_reconcile: last_report(&app).await? }))
}
