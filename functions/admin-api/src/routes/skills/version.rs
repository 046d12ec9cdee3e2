//! `GET /v1/skills/{slug}/versions/{version}`.

use af_app::skills;
use af_domain::ids::{SkillSlug, SkillVersion};
use af_http::{ApiPath, Problem};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::VersionBody;
use crate::Shared;
use crate::caller::Viewer;

/// A version with its files.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answer {
    #[serde(flatten)]
    version: VersionBody,
    /// By path.
    files: Vec<FileBody>,
}

/// A file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SkillFile)]
pub struct FileBody {
    path: String,
    content: String,
    sha256: String,
}

/// Shows a version with its files.
///
/// # Errors
/// 404 when there is none.
#[utoipa::path(
    get, path = "/v1/skills/{slug}/versions/{version}", tag = "skills",
    security(("apiKey" = ["admin", "read"])),
    responses((status = 200, body = inline(Answer)), (status = 404, description = "not_found")),
)]
pub async fn get(
    State(app): State<Shared>,
    _: Viewer,
    ApiPath((slug, version)): ApiPath<(SkillSlug, SkillVersion)>,
) -> Result<Json<Answer>, Problem> {
    let (view, files) = skills::version(&app, &slug, &version).await?;
    let files = files.into_iter();
    let files = files.map(|f| FileBody { path: f.path, content: f.content, sha256: f.sha256.to_string() });
    Ok(Json(Answer { version: view.into(), files: files.collect() }))
}
