use af_api::bindings::BindingBody;
use af_api::pages::{Page, PageQuery};
use af_app::access::auth::cursor_secret;
use af_app::agents::bindings;
use af_domain::ids::ConsumerUserId;
use af_http::{ApiPath, ApiQuery, CursorKey, Json, Problem};

use crate::caller::ConsumerApp;

/// Lists the bindings of a user: the active one first, then those that were revoked or replaced, the newest first.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/bindings",
    operation_id = "listUserBindings", tag = "bindings",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(PageQuery),
    responses((status = 200, body = Page<BindingBody>)),
)]
pub async fn list(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath(user): ApiPath<ConsumerUserId>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<BindingBody>>, Problem> {
    let key = CursorKey::new(&cursor_secret(&app).await?);
    let listing = format!("bindings {user}");
    let after = query.cursor.as_deref().map(|cursor| key.open_in(&listing, cursor)).transpose()?;
    let found = bindings::list(&app, &user, query.limit.get(), after.as_deref()).await?;
    let next = found.next.map(|position| key.seal_in(&listing, &position));
    Ok(Json(Page::new(found.items.into_iter().map(Into::into).collect(), next)))
}
