//! `POST /v1/skills`: deploys a version of a skill and releases it.

use af_app::skills;
use af_domain::ids::{SkillSlug, SkillVersion};
use af_domain::skill::bundle::GivenFile;
use af_domain::skill::{ModuleFormat, ReleaseChannel};
use af_http::{ApiJson, Id, Problem};
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ReleaseBody;
use crate::Shared;
use crate::caller::Operator;

/// What is deployed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The skill; made when there is none. Also its folder's name on workers.
    #[schema(value_type = String)]
    slug: Id<SkillSlug>,
    /// What people see; stays when left out.
    #[serde(default)]
    display_name: Option<String>,
    /// What it is for; stays when left out.
    #[serde(default)]
    description: Option<String>,
    /// A semantic version.
    #[schema(value_type = String)]
    version: Id<SkillVersion>,
    /// Its files: `SKILL.md` and `scripts/index.mjs` (`.cjs`) must be among them.
    files: Vec<FileBody>,
    /// What of its script is called.
    #[serde(default = "default_export")]
    entry_point: String,
    /// `esm`, when left out, or `cjs`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    module_format: Option<Id<ModuleFormat>>,
    /// `stable`, when left out, or `canary`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    release_channel: Option<Id<ReleaseChannel>>,
    /// Who deploys it.
    actor: String,
}

/// A file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeployedFile)]
pub struct FileBody {
    /// Where it lies in the skill's folder.
    path: String,
    /// Its text.
    content: String,
    /// SHA-256 of the text as UTF-8, in lower-case hex.
    sha256: String,
}

fn default_export() -> String {
    "default".to_owned()
}

/// A release that is active.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    slug: String,
    /// The skill's; one that is `disabled` stays so.
    status: &'static str,
    release_channel: &'static str,
    #[serde(flatten)]
    release: ReleaseBody,
}

/// Deploys a version and makes it the channel's active release. Sent again with the same files, it is answered the same.
///
/// # Errors
/// 413 when the files are too large together, 422 naming the field at fault, 409 when the version is there with other
/// files, the skill is being deleted, or the channel cannot take the release. Nothing is written then.
#[utoipa::path(
    post, path = "/v1/skills", tag = "skills",
    security(("apiKey" = ["admin"])), request_body = inline(Request),
    responses(
        (status = 201, body = inline(Answer)), (status = 409, description = "conflict"),
        (status = 413, description = "payload_too_large"),
    ),
)]
pub async fn deploy(
    State(app): State<Shared>,
    _: Operator,
    ApiJson(request): ApiJson<Request>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let file = |file: FileBody| GivenFile { path: file.path, content: file.content, sha256: file.sha256 };
    let channel = request.release_channel.map_or_else(ReleaseChannel::default, |channel| channel.0);
    let wanted = skills::Deploy {
        slug: request.slug.0,
        display_name: request.display_name,
        description: request.description,
        version: request.version.0,
        files: request.files.into_iter().map(file).collect(),
        entry_point: request.entry_point,
        module_format: request.module_format.map_or_else(ModuleFormat::default, |format| format.0),
        channel,
        actor: request.actor,
    };
    let (skill, release) = skills::deploy(&app, wanted).await?;
    let answer = Answer {
        slug: skill.slug.to_string(),
        status: skill.status.as_str(),
        release_channel: channel.as_str(),
        release: release.into(),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}
