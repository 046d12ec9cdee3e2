use af_api::pages::{Page, PageQuery};
use af_api::templates::MessageTemplateBody;
use af_app::access::auth::cursor_secret;
use af_app::intake::templates::{Place, list as use_case};
use af_http::{ApiQuery, CursorKey, Json, Problem};

use crate::caller::Viewer;

/// Lists message templates, the most used first.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/message-templates",
    operation_id = "listMessageTemplates", tag = "templates",
    security(("apiKey" = ["admin", "read"])), params(PageQuery),
    responses((status = 200, body = Page<MessageTemplateBody>)),
)]
pub async fn list(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<MessageTemplateBody>>, Problem> {
    const LISTING: &str = "message templates";
    let key = CursorKey::new(&cursor_secret(&app).await?);
    let after = query.cursor.as_deref();
    let after = after.map(|cursor| key.open_at("/cursor", LISTING, cursor, Place::read)).transpose()?;
    let found = use_case(&app, query.limit.get(), after.as_ref()).await?;
    let next = found.next.map(|position| key.seal_in(LISTING, &position));
    Ok(Json(Page::new(found.items.into_iter().map(Into::into).collect(), next)))
}
