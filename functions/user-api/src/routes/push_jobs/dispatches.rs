use af_api::pages::{Page, PageQuery};
use af_api::push::PushDispatchBody;
use af_app::access::auth::cursor_secret;
use af_app::push::dispatches::{self, Selection};
use af_domain::ids::{AgentKey, ConsumerUserId};
use af_http::{ApiPath, ApiQuery, CursorKey, Json, Problem};

use crate::caller::ConsumerApp;

/// Lists what was dispatched to a user of an agent, by push jobs and broadcasts, the newest first. A key that is bound
/// to a company gets the dispatches of this company only, so a page may hold fewer than its limit and still have a next page.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents/{agentKey}/push-dispatches", tag = "push",
    operation_id = "listPushDispatchesForAgent",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(PageQuery),
    responses((status = 200, body = Page<PushDispatchBody>)),
)]
pub async fn list(
    ConsumerApp { app, caller, .. }: ConsumerApp,
    ApiPath((user, agent)): ApiPath<(ConsumerUserId, AgentKey)>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<PushDispatchBody>>, Problem> {
    let key = CursorKey::new(&cursor_secret(&app).await?);
    let listing = format!("push-dispatches {agent} {user}");
    let after = query.cursor.as_deref().map(|cursor| key.open_in(&listing, cursor)).transpose()?;
    let selection = Selection::To { agent, user: Some(user.clone()) };
    let mut found = dispatches::list(&app, &selection, query.limit.get(), after.as_deref()).await?;
    if let Some(company) = &caller.company {
        dispatches::retain_of_company(&app, &mut found.items, &user, company).await?;
    }
    let next = found.next.map(|position| key.seal_in(&listing, &position));
    Ok(Json(Page::new(found.items.into_iter().map(Into::into).collect(), next)))
}
