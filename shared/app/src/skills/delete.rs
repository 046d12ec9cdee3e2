//! Deletes a skill with its versions and releases.
//!
//! First the skill is removed from its channels and marked, in one commit. Then its versions are deleted, and
//! finally its row. If the process fails in between, the skill is not served and has status `deleting`; a
//! repeated call continues.

use af_domain::ids::SkillSlug;
use af_domain::refusal::{Code, Refusal};
use af_domain::skill::{ReleaseChannel, Skill, SkillStatus, Stamp};
use af_domain::time::Millis;
use af_store::conversation::Commit;
use af_store::skill::VersionChange;
use futures::future::try_join_all;

use super::change::{MAX_CHANGE_TRIES, change, no_skill};
use crate::{App, AppError, Result};

/// Versions deleted at the same time.
const AT_ONCE: usize = 20;
/// Most rounds of one call: 1 000 versions, which take a few of the 29 seconds of a call.
const MAX_ROUNDS: usize = 50;
/// When to call again for the remaining versions.
const AGAIN_AFTER: Millis = Millis::from_secs(1);

/// Deletes a skill. Returns 404 if the skill does not exist, and 503 if it has more versions than one call can
/// delete.
pub async fn delete(app: &App, slug: &SkillSlug) -> Result<()> {
    mark(app, slug).await?;
    for _ in 0..MAX_ROUNDS {
        let versions = app.store.skill_versions(slug, AT_ONCE as i32, None).await?;
        if versions.is_empty() {
            // A refusal means that another call has already deleted the row.
            app.store.delete_skill_if_deleting(slug).await?;
            tracing::info!(slug = slug.as_str(), "skill deleted");
            return Ok(());
        }
        try_join_all(versions.iter().map(|version| app.store.delete_skill_version(slug, version))).await?;
    }
    let detail =
        format!("skill {slug} is no longer served, but some of its versions remain: send DELETE again");
    Err(Refusal::new(Code::Unavailable, detail).after(AGAIN_AFTER).into())
}

async fn mark(app: &App, slug: &SkillSlug) -> Result<()> {
    for _ in 0..MAX_CHANGE_TRIES {
        let before = app.store.skill(slug).await?.ok_or_else(|| no_skill(slug))?;
        if before.status == SkillStatus::Deleting {
            return Ok(());
        }
        // The actor of a deletion is in the request's log line, because a DELETE has no body.
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
