//! Lists of skills and versions.

use af_api::skills::{PastReleaseBody, VersionBody, VersionWithFiles};
use af_domain::ids::{SkillSlug, SkillVersion};
use af_domain::skill::{DeployedVersion, ReleaseChannel, Skill, Stamp};

use super::change::{no_skill, no_version};
use crate::{App, AppError};

/// Returns one page of skills ordered by slug.
pub async fn list(app: &App, limit: u32, after: Option<&str>) -> Result<Vec<Skill>, AppError> {
    Ok(app.store.skills(i32::try_from(limit).unwrap_or(i32::MAX), after).await?)
}

/// Returns a skill.
///
/// # Errors
/// Returns 404 if there is none.
pub async fn get(app: &App, slug: &SkillSlug) -> Result<Skill, AppError> {
    Ok(app.store.skill(slug).await?.ok_or_else(|| no_skill(slug))?)
}

/// Returns one page of a skill's versions, ordered by version as text.
///
/// # Errors
/// Returns 404 if the skill does not exist.
pub async fn versions(
    app: &App,
    slug: &SkillSlug,
    limit: u32,
    after: Option<&str>,
) -> Result<Vec<VersionBody>, AppError> {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let (skill, versions) =
        tokio::try_join!(app.store.skill(slug), app.store.skill_versions(slug, limit, after))?;
    let skill = skill.ok_or_else(|| no_skill(slug))?;
    Ok(versions.into_iter().map(|deployed| view(&skill, deployed)).collect())
}

/// Returns a version with its files.
///
/// # Errors
/// Returns 404 if there is none.
pub async fn version(
    app: &App,
    slug: &SkillSlug,
    version: &SkillVersion,
) -> Result<VersionWithFiles, AppError> {
    let (skill, deployed) = tokio::try_join!(app.store.skill(slug), app.store.skill_version(slug, version))?;
    let skill = skill.ok_or_else(|| no_skill(slug))?;
    let deployed = deployed.ok_or_else(|| no_version(slug, version))?;
    // A version without files has just been deleted.
    let files = app.store.skill_files(slug, &deployed.edition.bundle).await?;
    let files = files.ok_or_else(|| no_version(slug, version))?;
    Ok(VersionWithFiles {
        version: view(&skill, deployed),
        files: files.into_iter().map(Into::into).collect(),
    })
}

fn view(skill: &Skill, deployed: DeployedVersion) -> VersionBody {
    let is_active = |channel: &ReleaseChannel| {
        skill.active.get(channel).is_some_and(|release| release.edition.is_same_as(&deployed.edition))
    };
    let release = |(channel, Stamp { at, by }): (ReleaseChannel, Stamp)| {
        let (released_at, active) = (at.as_millis(), is_active(&channel));
        (channel.as_str().to_owned(), PastReleaseBody { released_at, released_by: by, active })
    };
    VersionBody {
        releases: deployed.released.into_iter().map(release).collect(),
        edition: deployed.edition.into(),
        file_count: deployed.files,
        deployed_at: deployed.deployed.at.as_millis(),
        deployed_by: deployed.deployed.by,
    }
}
