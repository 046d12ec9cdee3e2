//! Skills and their versions as they are shown.

use af_domain::ids::{SkillSlug, SkillVersion};
use af_domain::skill::bundle::SkillFile;
use af_domain::skill::{DeployedVersion, ReleaseChannel, Skill};

use super::{no_skill, no_version};
use crate::{App, AppError};

/// A version as it is shown.
#[derive(Debug)]
pub struct VersionView {
    /// The version.
    pub deployed: DeployedVersion,
    /// The channels whose active release it is.
    pub active_on: Vec<ReleaseChannel>,
}

/// One page of skills by slug.
///
/// # Errors
/// When they cannot be read.
pub async fn list(app: &App, limit: u32, after: Option<&str>) -> Result<Vec<Skill>, AppError> {
    Ok(app.store.skills(i32::try_from(limit).unwrap_or(i32::MAX), after).await?)
}

/// A skill.
///
/// # Errors
/// 404 when there is none.
pub async fn get(app: &App, slug: &SkillSlug) -> Result<Skill, AppError> {
    Ok(app.store.skill(slug).await?.ok_or_else(|| no_skill(slug))?)
}

/// One page of a skill's versions, by version as a text.
///
/// # Errors
/// 404 when there is no such skill.
pub async fn versions(
    app: &App,
    slug: &SkillSlug,
    limit: u32,
    after: Option<&str>,
) -> Result<Vec<VersionView>, AppError> {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let (skill, versions) =
        tokio::try_join!(app.store.skill(slug), app.store.skill_versions(slug, limit, after))?;
    let skill = skill.ok_or_else(|| no_skill(slug))?;
    Ok(versions.into_iter().map(|deployed| view(&skill, deployed)).collect())
}

/// A version with its files.
///
/// # Errors
/// 404 when there is none.
pub async fn version(
    app: &App,
    slug: &SkillSlug,
    version: &SkillVersion,
) -> Result<(VersionView, Vec<SkillFile>), AppError> {
    let (skill, deployed) = tokio::try_join!(app.store.skill(slug), app.store.skill_version(slug, version))?;
    let skill = skill.ok_or_else(|| no_skill(slug))?;
    let deployed = deployed.ok_or_else(|| no_version(slug, version))?;
    // Without its files it has just been deleted.
    let files = app.store.skill_files(slug, &deployed.edition.bundle).await?;
    Ok((view(&skill, deployed), files.ok_or_else(|| no_version(slug, version))?))
}

fn view(skill: &Skill, deployed: DeployedVersion) -> VersionView {
    let active = skill.active.iter().filter(|(_, release)| release.edition.is_same_as(&deployed.edition));
    let active_on = active.map(|(channel, _)| *channel).collect();
    VersionView { deployed, active_on }
}
