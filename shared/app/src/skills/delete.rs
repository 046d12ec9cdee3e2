//! Deletes a skill with its versions and releases.
//!
//! First it is taken out of its channels and marked, in one commit; then its versions go, one after the other, and at
//! last its row. A process that dies on the way leaves a skill that is served nowhere and says `deleting`; the same
//! call again goes on.

use af_domain::ids::SkillSlug;
use af_domain::refusal::{Code, Refusal};
use af_domain::skill::{ReleaseChannel, Skill, SkillStatus, Stamp};
use af_domain::time::Millis;
use af_store::conversation::Commit;
use af_store::skill::VersionChange;
use futures::future::try_join_all;

use super::{MAX_CHANGE_TRIES, change, no_skill};
use crate::{App, AppError};

/// Versions removed at the same time.
const AT_ONCE: usize = 20;
/// Rounds of one call: 1 000 versions, which take some seconds of the 29 that a call has.
const MAX_ROUNDS: usize = 50;
/// When to call again for the rest.
const AGAIN_AFTER: Millis = Millis::from_secs(1);

/// Deletes a skill.
///
/// # Errors
/// 404 when there is none; 503 when it had so many versions that some are left for another call.
pub async fn delete(app: &App, slug: &SkillSlug) -> Result<(), AppError> {
    mark(app, slug).await?;
    for _ in 0..MAX_ROUNDS {
        let versions = app.store.skill_versions(slug, AT_ONCE as i32, None).await?;
        if versions.is_empty() {
            // Refused when another call has come before: it is gone.
            app.store.delete_skill_if_deleting(slug).await?;
            tracing::info!(slug = slug.as_str(), "skill deleted");
            return Ok(());
        }
        try_join_all(versions.iter().map(|version| app.store.delete_skill_version(slug, version))).await?;
    }
    let detail =
        format!("skill {slug} is served no more, but has versions left to remove: send DELETE again");
    Err(Refusal::new(Code::Unavailable, detail).after(AGAIN_AFTER).into())
}

async fn mark(app: &App, slug: &SkillSlug) -> Result<(), AppError> {
    for _ in 0..MAX_CHANGE_TRIES {
        let before = app.store.skill(slug).await?.ok_or_else(|| no_skill(slug))?;
        if before.status == SkillStatus::Deleting {
            return Ok(());
        }
        // Who deletes is in the request's log line: a DELETE has no body to say it in.
        let stamp = Stamp { at: app.now(), by: before.updated.by.clone() };
        let marked = |skill: &mut Skill| {
            skill.status = SkillStatus::Deleting;
            skill.active.clear();
        };
        let after = before.changed(stamp, marked);
        let version = VersionChange::None;
        let change = change(app, Some(before.revision), &after, &ReleaseChannel::ALL, version).await?;
        if let Commit::Done = app.store.change_skill_if_unchanged(&change).await? {
            return Ok(());
        }
    }
    Err(AppError::Overtaken("the deletion of a skill"))
}
