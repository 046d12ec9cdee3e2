//! What the server says the skills are, believed only after a check of everything that will touch the disk: the rules
//! for paths are those that the deployment itself keeps.

use std::collections::BTreeSet;

use af_domain::ids::SkillSlug;
use af_domain::refusal::Refusal;
use af_domain::skill::bundle::{Bundle, GivenFile, SkillFile, sha256};
use af_domain::skill::channel::MAX_CHANNEL_SKILLS;
use af_domain::skill::{LAYOUT_VERSION, MANAGED_BY, MARKER, ModuleFormat};
use serde::Deserialize;

/// `GET /v1/worker/skills`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestAnswer {
    layout_version: String,
    pub manifest_version: String,
    release_channel: String,
    skills: Vec<SkillAnswer>,
}

/// A skill in it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SkillAnswer {
    slug: String,
    module_format: String,
    sha256: String,
    skill_dir_name: String,
    files: Vec<FileAnswer>,
}

/// A file in it.
#[derive(Debug, Deserialize)]
struct FileAnswer {
    path: String,
    content: String,
    sha256: String,
}

/// The part of a marker file that says whose the folder is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    slug: String,
    managed_by: String,
}

/// Why a manifest is not acceptable.
#[derive(Debug, thiserror::Error)]
pub enum BadManifest {
    /// It is laid out in a way that we do not know, of another channel, or too long.
    #[error("{0}")]
    Whole(&'static str),
    /// One of its skills is not what it should be.
    #[error("skill {slug}: {problem}")]
    Skill {
        /// Its slug, as it was said.
        slug: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// A skill's folder as it shall be; every path in it stays in it.
#[derive(Debug)]
pub struct Folder {
    /// Its name.
    pub name: SkillSlug,
    /// Its files; the marker is the last.
    pub files: Vec<SkillFile>,
}

/// The folders that a manifest asks for.
///
/// # Errors
/// `BadManifest` for the first thing that is wrong; then nothing of it is to be believed.
pub fn checked(answer: ManifestAnswer, channel: &str) -> Result<Vec<Folder>, BadManifest> {
    if answer.layout_version != LAYOUT_VERSION {
        return Err(BadManifest::Whole("its layout is not one that this worker knows"));
    }
    if answer.release_channel != channel {
        return Err(BadManifest::Whole("it is of another release channel"));
    }
    if answer.skills.len() > MAX_CHANNEL_SKILLS {
        return Err(BadManifest::Whole("it has more skills than a channel may have"));
    }
    let mut names = BTreeSet::new();
    let mut folders = Vec::with_capacity(answer.skills.len());
    for skill in answer.skills {
        let slug = skill.slug.clone();
        let folder = folder(skill).and_then(|folder| match names.insert(folder.name.clone()) {
            true => Ok(folder),
            false => Err("it comes twice".to_owned()),
        });
        folders.push(folder.map_err(|problem| BadManifest::Skill { slug, problem })?);
    }
    Ok(folders)
}

fn folder(skill: SkillAnswer) -> Result<Folder, String> {
    let name = SkillSlug::parse(&skill.skill_dir_name).map_err(|e| e.to_string())?;
    let format = ModuleFormat::parse(&skill.module_format).map_err(|e| e.to_string())?;
    let (markers, files): (Vec<_>, Vec<_>) = skill.files.into_iter().partition(|file| file.path == MARKER);
    let given = |file: FileAnswer| GivenFile { path: file.path, content: file.content, sha256: file.sha256 };
    let refused = |refusal: Refusal| format!("{}: {refusal}", refusal.pointer.as_deref().unwrap_or_default());
    let bundle = Bundle::of(files.into_iter().map(given).collect(), format).map_err(refused)?;
    if bundle.sha256().as_str() != skill.sha256 {
        return Err("its files are not those of its bundle".to_owned());
    }
    let [marker] =
        <[FileAnswer; 1]>::try_from(markers).map_err(|_| "it has not one marker file".to_owned())?;
    let hash = sha256(marker.content.as_bytes());
    if hash.as_str() != marker.sha256 || !is_ours(&marker.content, &name) || skill.slug != name.as_str() {
        return Err("its marker file is not ours".to_owned());
    }
    let mut files = bundle.into_files();
    files.push(SkillFile { path: MARKER.to_owned(), content: marker.content, sha256: hash });
    Ok(Folder { name, files })
}

/// Whether a marker file says that the folder `name` is ours.
pub fn is_ours(marker: &str, name: &SkillSlug) -> bool {
    let read = serde_json::from_str::<Marker>(marker);
    read.is_ok_and(|marker| marker.managed_by == MANAGED_BY && marker.slug == name.as_str())
}
