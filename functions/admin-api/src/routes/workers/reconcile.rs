//! `POST /v1/workers/reconcile?dryRun=`: observes, plans and, unless it is a dry run, executes.

use af_app::pool::reconcile::{Allowed, Reconciled, dry_run, reconcile_within};
use af_http::{ApiQuery, Problem, PublicUrl};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Shared;
use crate::caller::Operator;

/// How.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Query {
    /// Whether it only says what it would do.
    #[serde(default)]
    dry_run: bool,
}

/// What is answered when another reconcile runs, which will run once more.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LeftToAnother {
    left_to_another: bool,
}

/// Reconciles the pool: 200 with the report of the run, or 202 when it was left to another.
///
/// # Errors
/// When the table cannot be read or written.
#[utoipa::path(
    post, path = "/v1/workers/reconcile", tag = "workers",
    security(("apiKey" = ["admin"])), params(Query),
    responses((status = 200, body = af_app::pool::reconcile::Report), (status = 202, body = LeftToAnother)),
)]
pub async fn reconcile(
    State(app): State<Shared>,
    _: Operator,
    PublicUrl(url): PublicUrl,
    ApiQuery(query): ApiQuery<Query>,
) -> Result<Response, Problem> {
    if query.dry_run {
        return Ok(Json(dry_run(&app, url.as_deref()).await?).into_response());
    }
    Ok(match reconcile_within(&app, Allowed::BY_CALL, url.as_deref()).await? {
        Reconciled::Ran(report) => Json(report).into_response(),
        Reconciled::LeftToAnother => {
            (StatusCode::ACCEPTED, Json(LeftToAnother { left_to_another: true })).into_response()
        }
    })
}
