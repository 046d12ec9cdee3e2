//! The manifest of global skills, with all their files.

use af_domain::skill::ReleaseChannel;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::id::Id;

/// The query of `GET /v1/worker/skills`.
#[derive(Debug, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SkillsQuery {
    /// `stable`, when left out, or `canary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub release_channel: Option<Id<ReleaseChannel>>,
}

/// All skills of a channel.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The layout of the skills on a worker's disk.
    pub layout_version: String,
    /// A hash of the content: it stays the same as long as the channel serves the same skills.
    pub manifest_version: String,
    /// When the channel was last changed, epoch ms.
    pub generated_at: u64,
    /// The channel.
    pub release_channel: String,
    /// The workspace that the skills belong to.
    pub workspace_id: String,
    /// The skills, ordered by slug.
    pub skills: Vec<ManifestSkill>,
}

/// A skill in a manifest.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManifestSkill {
    /// The skill.
    pub slug: String,
    /// The released version.
    pub version: String,
    /// `esm` or `cjs`.
    pub module_format: String,
    /// The export that runs the skill.
    pub entry_point: String,
    /// SHA-256 of the bundle, without the marker file.
    pub sha256: String,
    /// The name of the skill's folder on a worker.
    pub skill_dir_name: String,
    /// The files of the bundle, in the order of the bundle, and then the marker file.
    pub files: Vec<ManifestFile>,
}

/// A file in a manifest.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ManifestFile {
    /// The path in the skill's folder.
    pub path: String,
    /// The text.
    pub content: String,
    /// SHA-256 of the text, in lower-case hexadecimal digits.
    pub sha256: String,
}
