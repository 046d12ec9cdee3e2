use af_api::documents::{DocumentBody, DocumentVersionsQuery};
use af_api::pages::Page;
use af_app::access::auth::cursor_secret;
use af_app::documents::{self, Scope};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, ApiQuery, CursorKey, Json, Problem};

use crate::caller::ConsumerApp;

/// Lists the versions of a document of the user with the agent, the newest first, without their texts. The newest 50 are kept.
///
/// # Errors
/// 404 when there is no such agent, 422 for a path, limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/document-versions",
    operation_id = "listUserDocumentVersions", tag = "documents",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(DocumentVersionsQuery),
    responses((status = 200, body = Page<DocumentBody>), (status = 404, description = "not_found")),
)]
pub async fn versions(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    ApiQuery(query): ApiQuery<DocumentVersionsQuery>,
) -> Result<Json<Page<DocumentBody>>, Problem> {
    let key = CursorKey::new(&cursor_secret(&app).await?);
    let path = query.path.0;
    let listing = format!("versions {path} {agent} {user}");
    let scope = Scope { agent, user: Some(user) };
    let before = query.cursor.as_deref().map(|cursor| key.open_in(&listing, cursor)).transpose()?;
    let before = before.and_then(|version| version.parse().ok());
    let found = documents::versions(&app, &scope, &path, query.limit.get(), before).await?;
    let next = found.next.map(|version| key.seal_in(&listing, &version.to_string()));
    Ok(Json(Page::new(found.items, next).map(Into::into)))
}
