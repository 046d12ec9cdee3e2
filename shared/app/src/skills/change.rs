//! Shared steps of changing a skill.

use af_domain::ids::{SkillSlug, SkillVersion};
use af_domain::refusal::{Code, Refusal};
use af_domain::skill::{ReleaseChannel, Skill, SkillStatus, Stamp};
use af_store::skill::{SkillChange, VersionChange};

use crate::{App, Result};

/// How often a change is decided again because the skill or its channel changed. Operators are few, but a
/// pipeline may deploy many skills to one channel at once.
pub(super) const MAX_CHANGE_TRIES: usize = 10;
/// Most characters of an actor's name.
pub(super) const MAX_ACTOR_CHARS: usize = 100;

/// Returns the stamp of `actor` at the current time.
pub(super) fn stamp(app: &App, actor: &str) -> Result<Stamp, Refusal> {
    check_text("actor", actor, 1, MAX_ACTOR_CHARS)?;
    Ok(Stamp { at: app.now(), by: actor.to_owned() })
}

/// Checks a one-line text.
pub(super) fn check_text(field: &str, text: &str, min: usize, max: usize) -> Result<(), Refusal> {
    let length = text.chars().count();
    if (min..=max).contains(&length) && !text.chars().any(char::is_control) && (min == 0 || !blank(text)) {
        return Ok(());
    }
    let detail = format!("{field} must be {min} to {max} printable characters");
    Err(Refusal::field(format!("/{field}"), detail))
}

pub(super) fn blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// Returns the skill, unless it is being deleted.
pub(super) fn changeable(skill: Option<Skill>, slug: &SkillSlug) -> Result<Skill, Refusal> {
    let skill = skill.ok_or_else(|| no_skill(slug))?;
    if skill.status == SkillStatus::Deleting {
        let detail = format!("skill {slug} is being deleted; send DELETE /v1/skills/{slug} again to finish");
        return Err(Refusal::new(Code::Conflict, detail));
    }
    Ok(skill)
}

pub(super) fn no_skill(slug: &SkillSlug) -> Refusal {
    Refusal::not_found(format!("skill {slug}"))
}

pub(super) fn no_version(slug: &SkillSlug, version: &SkillVersion) -> Refusal {
    Refusal::not_found(format!("version {version} of skill {slug}"))
}

/// Commits the change of a skill and of the `channels` that follow it.
pub(super) async fn change<'a>(
    app: &App,
    before: Option<u64>,
    skill: &'a Skill,
    channels: &[ReleaseChannel],
    version: VersionChange<'a>,
) -> Result<SkillChange<'a>> {
    let mut following = Vec::new();
    for name in channels {
        let channel = app.store.skill_channel(*name).await?;
        if let Some(after) = channel.following(skill, app.now())? {
            following.push((channel.revision, after));
        }
    }
    Ok(SkillChange { before, skill, channels: following, version })
}
