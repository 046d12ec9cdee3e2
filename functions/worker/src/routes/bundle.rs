//! `GET /v1/worker/messages/{messageId}/bundle?since=`: all that a worker needs for the message that it runs.

use af_app::AppError;
use af_app::worker::{Hydrated, hydrate as use_case};
use af_domain::ids::{HistoryCursor, MessageId};
use af_domain::refusal::Refusal;
use af_http::{ApiPath, ApiQuery, Problem, PublicUrl};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::Shared;
use crate::caller::Caller;
use crate::files::handed_out;
use crate::job::BundleBody;

/// How much.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Query {
    /// The cursor of an earlier bundle: only newer history comes.
    #[serde(default)]
    since: Option<String>,
}

/// Answers the bundle of a message whose lease the caller holds.
///
/// # Errors
/// 404 unless the caller holds the message's lease, 422 for a cursor that is none.
#[utoipa::path(
    get, path = "/v1/worker/messages/{messageId}/bundle", tag = "worker",
    security(("workerToken" = [])), params(Query),
    responses((status = 200, body = BundleBody), (status = 404, description = "not_found")),
)]
pub async fn bundle(
    State(app): State<Shared>,
    Caller(worker): Caller,
    url: PublicUrl,
    ApiPath(message): ApiPath<MessageId>,
    ApiQuery(query): ApiQuery<Query>,
) -> Result<Json<BundleBody>, Problem> {
    let since = query.since.as_deref().map(HistoryCursor::parse).transpose().map_err(AppError::from)?;
    let found = use_case(&app, &worker, &message, since.as_ref()).await?;
    let missing = || Refusal::not_found(format!("message {message} that this worker runs"));
    let Hydrated { job, bundle } = found.ok_or_else(missing)?;
    let payload = handed_out(&app, &url, job.payload.clone()).await;
    Ok(Json(BundleBody::new(&job, payload, bundle)))
}
