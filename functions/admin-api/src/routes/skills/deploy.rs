use af_api::skills::{DeployAnswer, DeployRequest};
use af_app::skills;
use af_domain::skill::{ModuleFormat, ReleaseChannel};
use af_http::{ApiJson, Json, Problem, StatusCode};

use crate::caller::Operator;

/// Deploys a version and makes it the channel's active release. Sent again with the same files, it is answered the same.
///
/// # Errors
/// 413 when the files are too large together, 422 naming the field at fault, 409 when the version is there with other
/// files, the skill is being deleted, or the channel cannot take the release. Nothing is written then.
#[utoipa::path(
    post, path = "/v1/skills", tag = "skills",
    security(("apiKey" = ["admin"])), request_body = inline(DeployRequest),
    responses(
        (status = 201, body = inline(DeployAnswer)), (status = 409, description = "conflict"),
        (status = 413, description = "payload_too_large"),
    ),
)]
pub async fn deploy(
    Operator { app, .. }: Operator,
    ApiJson(request): ApiJson<DeployRequest>,
) -> Result<(StatusCode, Json<DeployAnswer>), Problem> {
    let channel = request.release_channel.map_or_else(ReleaseChannel::default, |channel| channel.0);
    let wanted = skills::Deploy {
        slug: request.slug.0,
        display_name: request.display_name,
        description: request.description,
        version: request.version.0,
        files: request.files.into_iter().map(Into::into).collect(),
        entry_point: request.entry_point,
        module_format: request.module_format.map_or_else(ModuleFormat::default, |format| format.0),
        channel,
        actor: request.actor,
    };
    let (skill, release) = skills::deploy(&app, wanted).await?;
    let answer = DeployAnswer {
        slug: skill.slug.to_string(),
        status: skill.status.as_str().to_owned(),
        release_channel: channel.as_str().to_owned(),
        release: release.into(),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}
