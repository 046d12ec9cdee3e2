//! Activate: makes a deployed version the active release of a channel, for a rollback or a promotion.

use af_domain::ids::{SkillSlug, SkillVersion};
use af_domain::skill::{Release, ReleaseChannel, Skill};
use af_store::conversation::Commit;
use af_store::skill::VersionChange;

use super::change::{MAX_CHANGE_TRIES, change, changeable, no_version, stamp};
use crate::{App, AppError, Result};

/// Releases a version on a channel. It replaces the active release.
///
/// # Errors
/// Returns 404 if the skill or version does not exist, and 409 if the skill is being deleted or the channel
/// cannot serve the release. Nothing is written then.
pub async fn activate(
    app: &App,
    slug: &SkillSlug,
    version: &SkillVersion,
    channel: ReleaseChannel,
    actor: &str,
) -> Result<Skill> {
    let stamp = stamp(app, actor)?;
    for _ in 0..MAX_CHANGE_TRIES {
        let (before, known) =
            tokio::try_join!(app.store.skill(slug), app.store.skill_version(slug, version))?;
        let before = changeable(before, slug)?;
        let known = known.ok_or_else(|| no_version(slug, version))?;
        if before.active.get(&channel).is_some_and(|active| active.edition.is_same_as(&known.edition)) {
            return Ok(before);
        }
        let release = Release { edition: known.edition.clone(), released: stamp.clone() };
        let after = before.changed(stamp.clone(), |skill| {
            skill.active.insert(channel, release);
        });
        let noted = VersionChange::Released(&known, channel, &stamp);
        let change = change(app, Some(before.revision), &after, &[channel], noted).await?;
        if let Commit::Done = app.store.change_skill_if_unchanged(&change).await? {
            let (slug, version, channel) = (slug.as_str(), version.as_str(), channel.as_str());
            tracing::info!(slug, version, channel, actor, "skill release activated");
            return Ok(after);
        }
    }
    Err(AppError::Overtaken("the activation of a skill"))
}
