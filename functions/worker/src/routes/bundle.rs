use af_api::worker::hydration::{Bundle, BundleQuery};
use af_app::AppError;
use af_app::worker::{Hydrated, hydrate as use_case};
use af_domain::ids::{HistoryCursor, MessageId};
use af_domain::refusal::Refusal;
use af_http::{ApiPath, ApiQuery, Json, Problem, PublicUrl};

use crate::caller::Caller;
use crate::conversions::workspace_wanted;
use crate::download_links::{bundle_with_links, payload_with_links};

/// Answers the bundle of a message whose lease the caller holds.
///
/// # Errors
/// 404 unless the caller holds the message's lease, 422 for a malformed cursor.
#[utoipa::path(
    get, path = "/v1/worker/messages/{messageId}/bundle",
    operation_id = "workerHydrationBundle", tag = "worker",
    security(("workerToken" = [])), params(BundleQuery),
    responses((status = 200, body = Bundle), (status = 404, description = "not_found")),
)]
pub async fn bundle(
    Caller { app, worker, .. }: Caller,
    url: PublicUrl,
    ApiPath(message): ApiPath<MessageId>,
    ApiQuery(query): ApiQuery<BundleQuery>,
) -> Result<Json<Bundle>, Problem> {
    let since = query.since.as_deref().map(HistoryCursor::parse).transpose().map_err(AppError::from)?;
    let workspace = workspace_wanted(query.workspace_fingerprint);
    let found = use_case(&app, &worker, &message, since.as_ref(), &workspace).await?;
    let missing = || Refusal::not_found(format!("message {message} that this worker runs"));
    let Hydrated { job, bundle } = found.ok_or_else(missing)?;
    let payload = payload_with_links(&app, &url, job.payload.clone()).await;
    Ok(Json(bundle_with_links(&app, &url, &job, payload, bundle).await))
}
