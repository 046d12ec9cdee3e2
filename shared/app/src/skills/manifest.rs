//! What a channel serves, with all files: what a worker writes to its disk.

use std::collections::BTreeMap;

use af_api::worker::skills::{Manifest, ManifestFile, ManifestSkill};
use af_domain::ids::{Sha256Hex, SkillSlug};
use af_domain::skill::bundle::{SkillFile, sha256};
use af_domain::skill::channel::Channel;
use af_domain::skill::{Edition, LAYOUT_VERSION, MANAGED_BY, MARKER, ReleaseChannel};
use serde::Serialize;

use crate::{App, AppError};

/// How often the channel is read again because a skill was deleted while its files were read.
const MAX_READ_TRIES: usize = 3;
/// The only workspace.
pub(crate) const WORKSPACE_ID: &str = "default";

/// The response to a worker.
#[derive(Debug)]
pub enum Fetched {
    /// The worker already has this manifest.
    Unchanged {
        /// The version of the manifest.
        manifest_version: String,
    },
    /// The manifest.
    Manifest(Manifest),
}

/// The marker file in a skill's folder.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Marker<'a> {
    slug: &'a str,
    version: &'a str,
    sha256: &'a str,
    managed_by: &'static str,
    entry_point: &'a str,
    module_format: &'static str,
}

/// Returns the manifest of channel `name`. If the worker has it already according to `known`, this costs one
/// read.
pub async fn manifest(
    app: &App,
    name: ReleaseChannel,
    known: impl Fn(&str) -> bool,
) -> Result<Fetched, AppError> {
    for _ in 0..MAX_READ_TRIES {
        let channel = app.store.skill_channel(name).await?;
        let manifest_version = version_of(&channel);
        if known(&manifest_version) {
            return Ok(Fetched::Unchanged { manifest_version });
        }
        if let Some(skills) = skills(app, &channel).await? {
            return Ok(Fetched::Manifest(Manifest {
                layout_version: LAYOUT_VERSION.to_owned(),
                manifest_version,
                generated_at: channel.changed_at.as_millis(),
                release_channel: name.as_str().to_owned(),
                workspace_id: WORKSPACE_ID.to_owned(),
                skills,
            }));
        }
    }
    Err(AppError::Overtaken("the manifest of skills"))
}

/// Returns the skills with their files; `None` if one was deleted in between.
async fn skills(app: &App, channel: &Channel) -> Result<Option<Vec<ManifestSkill>>, AppError> {
    let wanted: Vec<_> = channel.serves.iter().map(|(slug, r)| (slug, &r.edition.bundle)).collect();
    let mut files: BTreeMap<_, _> = app.store.files_of_skills(&wanted).await?.into_iter().collect();
    let mut skills = Vec::with_capacity(wanted.len());
    for (slug, release) in &channel.serves {
        let found = match files.remove(slug) {
            Some(found) => Some(found),
            // A replica may not have the files yet.
            None => app.store.skill_files(slug, &release.edition.bundle).await?,
        };
        let Some(found) = found else { return Ok(None) };
        skills.push(entry(slug, &release.edition, &found)?);
    }
    Ok(Some(skills))
}

fn version_of(channel: &Channel) -> String {
    let skill = |(slug, edition): (&SkillSlug, &Edition)| {
        let Edition { version, bundle, module_format, entry_point, .. } = edition;
        format!("{slug}\n{version}\n{bundle}\n{}\n{entry_point}", module_format.as_str())
    };
    let head = format!("{LAYOUT_VERSION}\n{WORKSPACE_ID}\n{}", channel.name.as_str());
    let skills = channel.serves.iter().map(|(slug, release)| skill((slug, &release.edition)));
    let parts: Vec<_> = std::iter::once(head).chain(skills).collect();
    sha256(parts.join("\n---\n").as_bytes()).to_string()
}

fn entry(slug: &SkillSlug, edition: &Edition, files: &[SkillFile]) -> Result<ManifestSkill, AppError> {
    let marker = Marker {
        slug: slug.as_str(),
        version: edition.version.as_str(),
        sha256: edition.bundle.as_str(),
        managed_by: MANAGED_BY,
        entry_point: &edition.entry_point,
        module_format: edition.module_format.as_str(),
    };
    let marker = json(&marker)?;
    let hash = sha256(marker.as_bytes());
    let file = |path: &str, content: &str, sha256: &Sha256Hex| ManifestFile {
        path: path.to_owned(),
        content: content.to_owned(),
        sha256: sha256.to_string(),
    };
    let files = files.iter().map(|f| file(&f.path, &f.content, &f.sha256));
    Ok(ManifestSkill {
        slug: slug.to_string(),
        version: edition.version.to_string(),
        module_format: edition.module_format.as_str().to_owned(),
        entry_point: edition.entry_point.clone(),
        sha256: edition.bundle.to_string(),
        skill_dir_name: slug.to_string(),
        files: files.chain([file(MARKER, &marker, &hash)]).collect(),
    })
}

/// Returns the bytes that a skill takes in the response with the manifest. Lambda transfers the body as a
/// JSON string, so it is escaped twice.
pub(super) fn answer_bytes(
    slug: &SkillSlug,
    edition: &Edition,
    files: &[SkillFile],
) -> Result<u64, AppError> {
    let body = json(&entry(slug, edition, files)?)?;
    Ok(json(&body)?.len() as u64)
}

fn json(value: &impl Serialize) -> Result<String, AppError> {
    serde_json::to_string(value).map_err(|source| AppError::Unreadable { what: "a skill", source })
}
