use af_api::documents::DocumentBody;
use af_api::pages::{Page, PageQuery};
use af_app::access::auth::cursor_secret;
use af_app::documents::{self, Scope};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, ApiQuery, CursorKey, Json, Problem};

use crate::caller::ConsumerApp;

/// Lists the documents of the user with the agent by path, without their texts. The documents that the user inherits from the agent are not among them.
///
/// # Errors
/// 404 when there is no such agent, 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/documents",
    operation_id = "listUserDocuments", tag = "documents",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(PageQuery),
    responses((status = 200, body = Page<DocumentBody>), (status = 404, description = "not_found")),
)]
pub async fn list(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<DocumentBody>>, Problem> {
    let key = CursorKey::new(&cursor_secret(&app).await?);
    let listing = format!("documents {agent} {user}");
    let scope = Scope { agent, user: Some(user) };
    let after = query.cursor.as_deref().map(|cursor| key.open_in(&listing, cursor)).transpose()?;
    let limit = query.limit.get();
    let mut found = documents::list(&app, &scope, limit + 1, after.as_deref()).await?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().filter(|_| has_more);
    let next = last.map(|document| key.seal_in(&listing, document.path.as_str()));
    Ok(Json(Page::new(found, next).map(Into::into)))
}
