use af_api::reconcile::{LeftToAnother, ReconcileQuery, Report};
use af_app::pool::reconcile::{InvocationLimits, Reconciled, dry_run, reconcile_within};
use af_http::{ApiQuery, Json, Problem, PublicUrl, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::caller::Operator;

/// Reconciles the pool: 200 with the report of the run, or 202 when another run does it.
///
/// # Errors
/// When the table cannot be read or written.
#[utoipa::path(
    post, path = "/v1/workers/reconcile",
    operation_id = "reconcileWorkers", tag = "workers",
    security(("apiKey" = ["admin"])), params(ReconcileQuery),
    responses((status = 200, body = Report), (status = 202, body = LeftToAnother)),
)]
pub async fn reconcile(
    Operator { app, .. }: Operator,
    PublicUrl(url): PublicUrl,
    ApiQuery(query): ApiQuery<ReconcileQuery>,
) -> Result<Response, Problem> {
    if query.dry_run {
        return Ok(Json(dry_run(&app, url.as_deref()).await?).into_response());
    }
    Ok(match reconcile_within(&app, InvocationLimits::BY_CALL, url.as_deref()).await? {
        Reconciled::Ran(report) => Json(report).into_response(),
        Reconciled::LeftToAnother => {
            (StatusCode::ACCEPTED, Json(LeftToAnother { left_to_another: true })).into_response()
        }
    })
}
