//! The check of a manifest before anything of it is written. It covers every value that reaches the disk. The rules for
//! paths are the ones that the deployment itself enforces.

use std::collections::BTreeSet;

use af_api::worker::skills::{Manifest, ManifestFile, ManifestSkill};
use af_domain::ids::SkillSlug;
use af_domain::refusal::Refusal;
use af_domain::skill::bundle::{Bundle, GivenFile, SkillFile, sha256};
use af_domain::skill::channel::MAX_CHANNEL_SKILLS;
use af_domain::skill::{LAYOUT_VERSION, MANAGED_BY, MARKER, ModuleFormat};
use serde::Deserialize;

/// The part of a marker file that names the owner of the folder.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    slug: String,
    managed_by: String,
}

/// Why a manifest is not acceptable: its layout is unknown, its channel is another one, it has too many skills, or one of
/// its skills is invalid.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadManifest(String);

/// A skill's folder to write. Every path stays inside the folder.
#[derive(Debug)]
pub struct Folder {
    /// The name of the folder.
    pub name: SkillSlug,
    /// The files; the marker file is the last one.
    pub files: Vec<SkillFile>,
}

/// The folders that a manifest describes.
///
/// # Errors
/// `BadManifest` for the first problem. Then nothing of the manifest may be used.
pub fn checked(manifest: Manifest, channel: &str) -> Result<Vec<Folder>, BadManifest> {
    if manifest.layout_version != LAYOUT_VERSION {
        return Err(BadManifest("this worker does not know its layout".to_owned()));
    }
    if manifest.release_channel != channel {
        return Err(BadManifest("it is of another release channel".to_owned()));
    }
    if manifest.skills.len() > MAX_CHANNEL_SKILLS {
        return Err(BadManifest("it has more skills than a channel may have".to_owned()));
    }
    let mut names = BTreeSet::new();
    let mut folders = Vec::with_capacity(manifest.skills.len());
    for skill in manifest.skills {
        let slug = skill.slug.clone();
        let folder = folder(skill).and_then(|folder| {
            let is_first = names.insert(folder.name.clone());
            if is_first { Ok(folder) } else { Err("the manifest has it twice".to_owned()) }
        });
        folders.push(folder.map_err(|problem| BadManifest(format!("skill {slug}: {problem}")))?);
    }
    Ok(folders)
}

fn folder(skill: ManifestSkill) -> Result<Folder, String> {
    let name = SkillSlug::parse(&skill.skill_dir_name).map_err(|e| e.to_string())?;
    let format = skill.module_format.parse::<ModuleFormat>().map_err(|e| e.to_string())?;
    let (markers, files): (Vec<_>, Vec<_>) = skill.files.into_iter().partition(|file| file.path == MARKER);
    let given =
        |file: ManifestFile| GivenFile { path: file.path, content: file.content, sha256: file.sha256 };
    let refused = |refusal: Refusal| format!("{}: {refusal}", refusal.pointer.as_deref().unwrap_or_default());
    let bundle = Bundle::of(files.into_iter().map(given).collect(), format).map_err(refused)?;
    if bundle.sha256().as_str() != skill.sha256 {
        return Err("its files do not match the hash of its bundle".to_owned());
    }
    let [marker] = <[ManifestFile; 1]>::try_from(markers)
        .map_err(|_| "it must have exactly one marker file".to_owned())?;
    let hash = sha256(marker.content.as_bytes());
    if hash.as_str() != marker.sha256 || !is_ours(&marker.content, &name) || skill.slug != name.as_str() {
        return Err("its marker file does not belong to this deployment".to_owned());
    }
    let mut files = bundle.into_files();
    files.push(SkillFile { path: MARKER.to_owned(), content: marker.content, sha256: hash });
    Ok(Folder { name, files })
}

/// Whether a marker file says that the folder `name` belongs to this deployment.
pub fn is_ours(marker: &str, name: &SkillSlug) -> bool {
    let read = serde_json::from_str::<Marker>(marker);
    read.is_ok_and(|marker| marker.managed_by == MANAGED_BY && marker.slug == name.as_str())
}
