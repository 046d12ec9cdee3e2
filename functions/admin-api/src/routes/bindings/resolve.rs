use af_api::bindings::{BindingBody, BindingQuery};
use af_app::agents::bindings::resolve as use_case;
use af_http::{ApiQuery, Json, Problem};

use crate::caller::Viewer;

/// Shows the active binding of a Telegram user or a private chat with a bot. The binding of the user comes first.
///
/// # Errors
/// 404 when neither has an active binding, 422 when the query names neither.
#[utoipa::path(
    get, path = "/v1/bindings",
    operation_id = "resolveBinding", tag = "bindings",
    security(("apiKey" = ["admin", "read"])), params(BindingQuery),
    responses((status = 200, body = BindingBody), (status = 404, description = "not_found")),
)]
pub async fn resolve(
    Viewer(app): Viewer,
    ApiQuery(query): ApiQuery<BindingQuery>,
) -> Result<Json<BindingBody>, Problem> {
    Ok(Json(use_case(&app, &query.into()).await?.into()))
}
