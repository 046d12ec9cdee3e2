use af_api::pages::Page;
use af_api::snapshots::{SnapshotBody, SnapshotsQuery};
use af_app::AppError;
use af_app::access::auth::cursor_secret;
use af_app::files::snapshots::of_user;
use af_domain::ids::{AgentKey, ConsumerUserId, SnapshotId};
use af_http::{ApiPath, ApiQuery, CursorKey, Json, Problem};

use crate::caller::ConsumerApp;

/// Lists the snapshots of the user's files, the newest first. A user without a conversation has none.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/snapshots",
    operation_id = "listSnapshotsForUserAgent", tag = "snapshots",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(SnapshotsQuery),
    responses((status = 200, body = Page<SnapshotBody>)),
)]
pub async fn list(
    ConsumerApp { app, objects, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    ApiQuery(query): ApiQuery<SnapshotsQuery>,
) -> Result<Json<Page<SnapshotBody>>, Problem> {
    let key = CursorKey::new(&cursor_secret(&app).await?);
    let listing = format!("snapshots {agent} {user}");
    let after = query.cursor.as_deref().map(|cursor| key.open_in(&listing, cursor)).transpose()?;
    let after = after.map(SnapshotId::parse).transpose().map_err(AppError::from)?;
    let found = of_user(&app, &objects, &user, &agent, query.limit.get(), after.as_ref()).await?;
    let next = found.next.map(|id| key.seal_in(&listing, id.as_str()));
    Ok(Json(Page::new(found.items, next)))
}
