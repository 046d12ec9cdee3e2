use af_api::pages::Page;
use af_api::snapshots::{SnapshotBody, SnapshotsQuery};
use af_app::AppError;
use af_app::files::snapshots::of_conversation;
use af_domain::ids::{ConversationId, SnapshotId};
use af_http::{ApiPath, ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

/// Lists the snapshots of a conversation, and why they failed. There are no download URLs: the files belong to the user.
///
/// # Errors
/// 404 when there is no such conversation.
#[utoipa::path(
    get, path = "/v1/conversations/{conversationId}/snapshots",
    operation_id = "listSnapshots", tag = "snapshots",
    security(("apiKey" = ["admin", "read"])), params(SnapshotsQuery),
    responses((status = 200, body = Page<SnapshotBody>), (status = 404, description = "not_found")),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiPath(id): ApiPath<ConversationId>,
    ApiQuery(query): ApiQuery<SnapshotsQuery>,
) -> Result<Json<Page<SnapshotBody>>, Problem> {
    let listing = format!("snapshots {id}");
    let after = paging::after(&app, &listing, query.cursor.as_deref()).await?;
    let after = after.map(SnapshotId::parse).transpose().map_err(AppError::from)?;
    let found = of_conversation(&app, &id, query.limit.get(), after.as_ref()).await?;
    let next = paging::seal(&app, &listing, found.next.map(|id| id.to_string())).await?;
    Ok(Json(Page::new(found.items, next)))
}
