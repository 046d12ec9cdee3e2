//! Deploys a version of a skill and releases it on a channel.

use std::collections::BTreeMap;

use af_api::skills::{DeployAnswer, DeployRequest, DeployedFile};
use af_domain::ids::SkillSlug;
use af_domain::refusal::{Code, Refusal};
use af_domain::skill::bundle::{Bundle, SKILL_FILE};
use af_domain::skill::{DeployedVersion, Edition, Release, ReleaseChannel, Skill, Stamp};
use af_store::conversation::Commit;
use af_store::skill::VersionChange;

use super::change::{MAX_CHANGE_TRIES, change, changeable, check_text, stamp};
use super::{front_matter, manifest};
use crate::{App, AppError, Result};

/// Most characters of a display name.
const MAX_NAME_CHARS: usize = 200;
/// Most characters of a description.
const MAX_DESCRIPTION_CHARS: usize = 2_000;
/// Most characters of an entry point, which is a name in a script.
const MAX_ENTRY_POINT_CHARS: usize = 100;

/// Deploys a version, and makes it the channel's active release. If the same version with the same files
/// exists, it is only released.
///
/// # Errors
/// Returns a refusal with the invalid field; 409 if the version exists with other files, the skill is being
/// deleted, or the channel cannot serve the release. Nothing is written then.
pub async fn deploy(app: &App, request: DeployRequest) -> Result<DeployAnswer> {
    let stamp = stamp(app, &request.actor)?;
    check_texts(&request)?;
    let (slug, version, entry_point) = (request.slug.0, request.version.0, request.entry_point);
    let described = front_matter(&request.files)?;
    let (display_name, description) = (request.display_name, request.description.or(described));
    let module_format = request.module_format.map(|format| format.0).unwrap_or_default();
    let channel = request.release_channel.map(|channel| channel.0).unwrap_or_default();
    let bundle = Bundle::of(request.files.into_iter().map(Into::into).collect(), module_format)?;
    let (sha256, bytes) = (bundle.sha256().clone(), bundle.bytes() as u64);
    let mut edition = Edition { version, bundle: sha256, bytes, answer_bytes: 0, module_format, entry_point };
    edition.answer_bytes = manifest::answer_bytes(&slug, &edition, bundle.files())?;
    let release = Release { edition, released: stamp.clone() };
    let apply = |skill: &mut Skill| {
        skill.display_name = display_name.clone().or(skill.display_name.take());
        skill.description = description.clone().or(skill.description.take());
        if !serves(skill, channel, &release.edition) {
            skill.active.insert(channel, release.clone());
        }
    };
    for _ in 0..MAX_CHANGE_TRIES {
        let reads = (app.store.skill(&slug), app.store.skill_version(&slug, &release.edition.version));
        let (before, known) = tokio::try_join!(reads.0, reads.1)?;
        let before = before.map(|skill| changeable(Some(skill), &slug)).transpose()?;
        if let Some(known) = &known {
            same_edition(&slug, &known.edition, &release.edition)?;
        }
        let after = match &before {
            Some(skill) => skill.changed(stamp.clone(), apply),
            None => made(&slug, &stamp, apply),
        };
        if let Some(before) = before.as_ref().filter(|before| is_there(before, &after)) {
            return Ok(answer(before, channel, &release));
        }
        let first = first(&release, &bundle, channel);
        let version = match &known {
            None => VersionChange::Deployed(&first, &bundle),
            Some(_) if before.as_ref().is_some_and(|b| b.active == after.active) => VersionChange::None,
            Some(known) => VersionChange::Released(known, channel, &stamp),
        };
        let change = change(app, before.map(|b| b.revision), &after, &[channel], version).await?;
        if let Commit::Done = app.store.change_skill_if_unchanged(&change).await? {
            let edition = &release.edition;
            let (version, bundle) = (edition.version.as_str(), edition.bundle.as_str());
            let (slug, channel_name) = (slug.as_str(), channel.as_str());
            tracing::info!(slug, version, bundle, channel = channel_name, actor = stamp.by, "skill deployed");
            return Ok(answer(&after, channel, &release));
        }
    }
    Err(AppError::Overtaken("the deployment of a skill"))
}

fn check_texts(request: &DeployRequest) -> Result<(), Refusal> {
    if let Some(name) = &request.display_name {
        check_text("displayName", name, 1, MAX_NAME_CHARS)?;
    }
    let description = request.description.as_deref().unwrap_or_default();
    if description.chars().count() > MAX_DESCRIPTION_CHARS {
        let detail = format!("description must be at most {MAX_DESCRIPTION_CHARS} characters");
        return Err(Refusal::field("/description", detail));
    }
    check_text("entryPoint", &request.entry_point, 1, MAX_ENTRY_POINT_CHARS)
}

/// Returns the description in the front matter of `SKILL.md`, cut to the size that is stored. A bundle without that file is
/// refused later.
fn front_matter(files: &[DeployedFile]) -> Result<Option<String>, Refusal> {
    let Some(at) = files.iter().position(|file| file.path == SKILL_FILE) else { return Ok(None) };
    let found = front_matter::read(&format!("/files/{at}/content"), &files[at].content)?;
    Ok(Some(found.description.trim().chars().take(MAX_DESCRIPTION_CHARS).collect()))
}

/// Checks that an existing version does not change.
fn same_edition(slug: &SkillSlug, known: &Edition, given: &Edition) -> Result<(), Refusal> {
    if known.is_same_as(given) {
        return Ok(());
    }
    let detail = format!(
        "version {} of skill {slug} is deployed already, with bundle {} of format {} and entry point {}; \
         deploy what differs as another version",
        known.version,
        known.bundle,
        known.module_format.as_str(),
        known.entry_point
    );
    Err(Refusal::new(Code::Conflict, detail))
}

fn serves(skill: &Skill, channel: ReleaseChannel, edition: &Edition) -> bool {
    skill.active.get(&channel).is_some_and(|active| active.edition.is_same_as(edition))
}

fn made(slug: &SkillSlug, stamp: &Stamp, apply: impl FnOnce(&mut Skill)) -> Skill {
    let mut skill = Skill::new(slug.clone(), stamp.clone());
    apply(&mut skill);
    skill
}

/// Whether `before` already has the deployed state.
fn is_there(before: &Skill, after: &Skill) -> bool {
    let asked = |skill: &Skill| (skill.display_name.clone(), skill.description.clone());
    before.active == after.active && asked(before) == asked(after)
}

fn first(release: &Release, bundle: &Bundle, channel: ReleaseChannel) -> DeployedVersion {
    DeployedVersion {
        edition: release.edition.clone(),
        files: u32::try_from(bundle.files().len()).unwrap_or(u32::MAX),
        deployed: release.released.clone(),
        released: BTreeMap::from([(channel, release.released.clone())]),
    }
}

/// Returns the active release of the skill. An existing release keeps the time of its first call.
fn answer(skill: &Skill, channel: ReleaseChannel, release: &Release) -> DeployAnswer {
    DeployAnswer {
        slug: skill.slug.to_string(),
        status: skill.status.as_str().to_owned(),
        release_channel: channel.as_str().to_owned(),
        release: skill.active.get(&channel).unwrap_or(release).clone().into(),
    }
}
