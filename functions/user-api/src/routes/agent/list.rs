use af_api::pages::Page;
use af_api::user_agents::{UserAgentBody, UserAgentsQuery};
use af_domain::ids::ConsumerUserId;
use af_http::{ApiPath, ApiQuery, Json, Problem};

use crate::caller::ConsumerApp;
use crate::routes::agent::overview::page_of;

/// Lists the agents of a user, by key: those to which the user is or was bound, and those for which the user has a pairing
/// code. An unknown user has none.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/agents",
    operation_id = "listUserAgents", tag = "users",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(UserAgentsQuery),
    responses((status = 200, body = Page<UserAgentBody>)),
)]
pub async fn list(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath(user): ApiPath<ConsumerUserId>,
    ApiQuery(query): ApiQuery<UserAgentsQuery>,
) -> Result<Json<Page<UserAgentBody>>, Problem> {
    let overview = page_of(&app, &user, query).await?;
    Ok(Json(Page::new(overview.agents, overview.next_cursor)))
}
