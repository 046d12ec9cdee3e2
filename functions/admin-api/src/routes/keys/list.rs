use af_api::keys::KeyBody;
use af_api::pages::{Page, PageQuery};
use af_app::access::api_keys;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;
use crate::paging;

const LISTING: &str = "keys";

/// Lists keys without their secrets. The key that the deployment made for itself is not among them.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/keys",
    operation_id = "listKeys", tag = "keys",
    security(("apiKey" = ["admin", "read"])), params(PageQuery),
    responses((status = 200, body = Page<KeyBody>)),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<KeyBody>>, Problem> {
    let after = paging::after(&app, LISTING, query.cursor.as_deref()).await?;
    let found = api_keys::list(&app, query.limit.get() + 1, after.as_deref()).await?;
    let page = paging::page(&app, LISTING, query.limit, found, |key| key.key_id.clone()).await?;
    Ok(Json(page))
}
