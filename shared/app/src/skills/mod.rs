//! Global skills: operators deploy and release them, workers fetch them.
//!
//! Each change is decided on the state that was read, and committed on condition of its revisions. A call
//! that is repeated after a lost response finds the change made, and returns the same result.

mod activate;
mod delete;
mod deploy;
mod list;
mod manifest;
mod status;

pub use activate::activate;
pub use delete::delete;
pub use deploy::{Deploy, deploy};
pub use list::{VersionView, get, list, version, versions};
pub(crate) use manifest::WORKSPACE_ID;
pub use manifest::{Fetched, Manifest, manifest};
pub use status::set_status;

use af_domain::ids::{SkillSlug, SkillVersion};
use af_domain::refusal::{Code, Refusal};
use af_domain::skill::{ReleaseChannel, Skill, SkillStatus, Stamp};
use af_store::skill::{SkillChange, VersionChange};

use crate::{App, AppError};

/// How often a change is decided again because the skill or its channel changed. Operators are few, but a
/// pipeline may deploy many skills to one channel at once.
const MAX_CHANGE_TRIES: usize = 10;
/// Most characters of an actor's name.
const MAX_ACTOR_CHARS: usize = 100;

/// Returns the stamp of `actor` at the current time.
fn stamp(app: &App, actor: &str) -> Result<Stamp, Refusal> {
    check_text("actor", actor, 1, MAX_ACTOR_CHARS)?;
    Ok(Stamp { at: app.now(), by: actor.to_owned() })
}

/// Checks a one-line text.
fn check_text(field: &str, text: &str, min: usize, max: usize) -> Result<(), Refusal> {
    let length = text.chars().count();
    if (min..=max).contains(&length) && !text.chars().any(char::is_control) && (min == 0 || !blank(text)) {
        return Ok(());
    }
    let detail = format!("{field} must be {min} to {max} printable characters");
    Err(Refusal::field(format!("/{field}"), detail))
}

fn blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Returns the skill, unless it is being deleted.
fn changeable(skill: Option<Skill>, slug: &SkillSlug) -> Result<Skill, Refusal> {
    let skill = skill.ok_or_else(|| no_skill(slug))?;
    if skill.status == SkillStatus::Deleting {
        let detail = format!("skill {slug} is being deleted; send DELETE /v1/skills/{slug} again to finish");
        return Err(Refusal::new(Code::Conflict, detail));
    }
    Ok(skill)
}

fn no_skill(slug: &SkillSlug) -> Refusal {
    Refusal::not_found(format!("skill {slug}"))
}

fn no_version(slug: &SkillSlug, version: &SkillVersion) -> Refusal {
    Refusal::not_found(format!("version {version} of skill {slug}"))
}

/// Commits the change of a skill and of the `channels` that follow it.
async fn change<'a>(
    app: &App,
    before: Option<u64>,
    skill: &'a Skill,
    channels: &[ReleaseChannel],
    version: VersionChange<'a>,
) -> Result<SkillChange<'a>, AppError> {
    let mut following = Vec::new();
    for name in channels {
        let channel = app.store.skill_channel(*name).await?;
        if let Some(after) = channel.following(skill, app.now())? {
            following.push((channel.revision, after));
        }
    }
    Ok(SkillChange { before, skill, channels: following, version })
}
