use af_api::pages::Page;
use af_api::push::{CompanyQuery, PushTemplateBody};
use af_app::push::templates;
use af_domain::ids::CompanyId;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::AnyKey;
use crate::paging;

/// Lists the push templates of a company, ordered by key.
///
/// # Errors
/// 404 when the key is bound to another company, 422 for a company, limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/push-templates", tag = "push", operation_id = "listPushTemplates",
    security(("apiKey" = ["admin", "read", "app"])), params(CompanyQuery),
    responses((status = 200, body = Page<PushTemplateBody>), (status = 404, description = "not_found")),
)]
pub async fn list(
    AnyKey { app, caller }: AnyKey,
    ApiQuery(query): ApiQuery<CompanyQuery>,
) -> Result<Json<Page<PushTemplateBody>>, Problem> {
    let named = query.company_id.as_ref().map(|id| id.0.clone());
    let company = caller.company_of(named)?.unwrap_or_else(CompanyId::unnamed);
    let listing = format!("push-templates {company}");
    let after = paging::after(&app, &listing, query.cursor.as_deref()).await?;
    let found = templates::list(&app, &company, query.limit.get() + 1, after.as_deref()).await?;
    let position = |template: &af_domain::push::PushTemplate| template.key.to_string();
    let page = paging::page(&app, &listing, query.limit, found, position).await?;
    Ok(Json(page.map(Into::into)))
}
