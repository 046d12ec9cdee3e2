//! Disables a skill on all channels, or enables it again.

use af_domain::ids::SkillSlug;
use af_domain::skill::{ReleaseChannel, Skill, SkillStatus};
use af_store::conversation::Commit;
use af_store::skill::VersionChange;

use super::change::{MAX_CHANGE_TRIES, change, changeable, stamp};
use crate::{App, AppError, Result};

/// Disables or enables a skill.
///
/// # Errors
/// Returns 404 if the skill does not exist, and 409 if it is being deleted or a channel cannot serve it
/// again. Nothing is written then.
pub async fn set_status(app: &App, slug: &SkillSlug, enabled: bool, actor: &str) -> Result<Skill> {
    let stamp = stamp(app, actor)?;
    let status = if enabled { SkillStatus::Active } else { SkillStatus::Disabled };
    for _ in 0..MAX_CHANGE_TRIES {
        let before = changeable(app.store.skill(slug).await?, slug)?;
        if before.status == status {
            return Ok(before);
        }
        let after = before.changed(stamp.clone(), |skill| skill.status = status);
        let version = VersionChange::None;
        let change = change(app, Some(before.revision), &after, &ReleaseChannel::ALL, version).await?;
        if let Commit::Done = app.store.change_skill_if_unchanged(&change).await? {
            tracing::info!(slug = slug.as_str(), status = status.as_str(), actor, "skill status set");
            return Ok(after);
        }
    }
    Err(AppError::Overtaken("the status of a skill"))
}
