use af_app::skills;
use af_domain::ids::SkillSlug;
use af_http::{ApiPath, Problem, StatusCode};

use crate::caller::Operator;

/// Deletes a skill with its versions and releases. Sent again, it goes on with what was left.
///
/// # Errors
/// 404 when there is none; 503 when it has more versions than one call removes.
#[utoipa::path(
    delete, path = "/v1/skills/{slug}",
    operation_id = "deleteSkill", tag = "skills",
    security(("apiKey" = ["admin"])),
    responses(
        (status = 204), (status = 404, description = "not_found"),
        (status = 503, description = "unavailable"),
    ),
)]
pub async fn delete(
    Operator { app, .. }: Operator,
    ApiPath(slug): ApiPath<SkillSlug>,
) -> Result<StatusCode, Problem> {
    skills::delete(&app, &slug).await?;
    Ok(StatusCode::NO_CONTENT)
}
