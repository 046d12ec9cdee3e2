use af_api::user_agents::{UserAgentsOverview, UserAgentsQuery};
use af_app::App;
use af_app::access::auth::cursor_secret;
use af_app::agents::users::{Wanted, overview as use_case};
use af_domain::ids::ConsumerUserId;
use af_http::{ApiPath, ApiQuery, CursorKey, Json, Problem};

use crate::caller::ConsumerApp;

/// Shows the agents of a user, the active one, and whether the user can create another agent.
///
/// # Errors
/// 422 for a limit or cursor that is not acceptable.
#[utoipa::path(
    get, path = "/v1/users/{consumerUserId}/overview",
    operation_id = "getUserAgentsOverview", tag = "users",
    security(("apiKey" = ["admin", "app"]), ("userToken" = [])), params(UserAgentsQuery),
    responses((status = 200, body = UserAgentsOverview)),
)]
pub async fn overview(
    ConsumerApp { app, .. }: ConsumerApp,
    ApiPath(user): ApiPath<ConsumerUserId>,
    ApiQuery(query): ApiQuery<UserAgentsQuery>,
) -> Result<Json<UserAgentsOverview>, Problem> {
    Ok(Json(page_of(&app, &user, query).await?))
}

/// One page of the agents of a user, with a signed cursor.
pub async fn page_of(
    app: &App,
    user: &ConsumerUserId,
    query: UserAgentsQuery,
) -> Result<UserAgentsOverview, Problem> {
    let key = CursorKey::new(&cursor_secret(app).await?);
    let listing = format!("agents {} {user}", query.include_disabled);
    let after = query.cursor.as_deref().map(|cursor| key.open_in(&listing, cursor)).transpose()?;
    let wanted = Wanted { include_disabled: query.include_disabled, limit: query.limit.get(), after };
    let mut overview = use_case(app, user, &wanted).await?;
    overview.next_cursor = overview.next_cursor.map(|position| key.seal_in(&listing, &position));
    Ok(overview)
}
