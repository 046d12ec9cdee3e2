//! `PUT /v1/skills/{slug}/status`.

use af_app::skills;
use af_domain::ids::SkillSlug;
use af_http::{ApiJson, ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::SkillBody;
use crate::Shared;
use crate::caller::Operator;

/// Whether the skill is served.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `active` or `disabled`.
    #[schema(inline)]
    status: Status,
    /// Who says so.
    actor: String,
}

/// What an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is served.
    Active,
    /// It is not; its releases are kept.
    Disabled,
}

/// Disables or enables a skill.
///
/// # Errors
/// 404 when there is none, 409 when it is being deleted or a channel cannot take it back. Nothing is written then.
#[utoipa::path(
    put, path = "/v1/skills/{slug}/status", tag = "skills",
    security(("apiKey" = ["admin"])), request_body = inline(Request),
    responses(
        (status = 200, body = SkillBody), (status = 404, description = "not_found"),
        (status = 409, description = "conflict"),
    ),
)]
pub async fn put(
    State(app): State<Shared>,
    _: Operator,
    ApiPath(slug): ApiPath<SkillSlug>,
    ApiJson(request): ApiJson<Request>,
) -> Result<Json<SkillBody>, Problem> {
    let enabled = request.status == Status::Active;
    Ok(Json(skills::set_status(&app, &slug, enabled, &request.actor).await?.into()))
}
