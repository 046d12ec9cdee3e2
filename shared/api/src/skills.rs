//! Global skills, their versions and their releases.

use std::collections::BTreeMap;

use af_domain::ids::{SkillSlug, SkillVersion};
use af_domain::skill::bundle::{GivenFile, SkillFile};
use af_domain::skill::{Edition, ModuleFormat, Release, ReleaseChannel, Skill, Stamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::Id;

/// A skill. Times are epoch ms.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillBody {
    /// The skill's name, and the name of its folder on workers.
    pub slug: String,
    /// The name that people see.
    pub display_name: Option<String>,
    /// The purpose of the skill.
    pub description: Option<String>,
    /// `active`, `disabled`, or `deleting`: served nowhere, and not deleted yet.
    pub status: String,
    /// When the skill was made.
    pub created_at: u64,
    /// Who made it.
    pub created_by: String,
    /// When it was last changed.
    pub updated_at: u64,
    /// Who last changed it.
    pub updated_by: String,
    /// The active release of each channel. A disabled skill keeps them, and is not served.
    pub active_releases: BTreeMap<String, ReleaseBody>,
}

/// A version on a channel.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseBody {
    /// The version.
    #[serde(flatten)]
    pub edition: EditionBody,
    /// When it was released there.
    pub released_at: u64,
    /// Who released it there last.
    pub released_by: String,
}

/// What a version is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EditionBody {
    /// The semantic version.
    pub version: String,
    /// SHA-256 of its bundle.
    pub sha256: String,
    /// Bytes of its files together.
    pub size_bytes: u64,
    /// `esm` or `cjs`.
    pub module_format: String,
    /// The export of its script that workers call.
    pub entry_point: String,
}

/// A version of a skill, and where it was released.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionBody {
    /// The version.
    #[serde(flatten)]
    pub edition: EditionBody,
    /// How many files it has.
    pub file_count: u32,
    /// When it was deployed.
    pub deployed_at: u64,
    /// Who deployed it.
    pub deployed_by: String,
    /// Its releases by channel, also those that are not active any more.
    pub releases: BTreeMap<String, PastReleaseBody>,
}

/// A release, whether it is active or not.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastReleaseBody {
    /// When the version was released there.
    pub released_at: u64,
    /// Who released it there last.
    pub released_by: String,
    /// Whether it is the channel's active release.
    pub active: bool,
}

/// A version with its files.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VersionWithFiles {
    /// The version.
    #[serde(flatten)]
    pub version: VersionBody,
    /// Its files by path.
    pub files: Vec<SkillFileBody>,
}

/// A file.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SkillFile)]
pub struct SkillFileBody {
    /// The file's path in the skill's folder.
    pub path: String,
    /// The file's text.
    pub content: String,
    /// SHA-256 of the text.
    pub sha256: String,
}

/// A version to deploy.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeployRequest {
    /// The skill; the call makes it if it does not exist. It is also the name of its folder on workers.
    #[schema(value_type = String)]
    pub slug: Id<SkillSlug>,
    /// The name that people see; unchanged when left out.
    pub display_name: Option<String>,
    /// The purpose of the skill; the `description` of the front matter of `SKILL.md` when left out.
    pub description: Option<String>,
    /// A semantic version.
    #[schema(value_type = String)]
    pub version: Id<SkillVersion>,
    /// Its files: `SKILL.md`, which begins with front matter, and `scripts/index.mjs` (`.cjs`) must be among them.
    #[schema(example = json!([
        {
            "path": "SKILL.md",
            "content": "---\nname: hello\ndescription: Greets the person with the given name.\n---\n# Hello\n",
            "sha256": "3ff8cd76fefd38c6b579d2cd8e39e81397c93e32305b4075341dddc3f36e82f3",
        },
        {
            "path": "scripts/index.mjs",
            "content": "export default (name) => `hello ${name}`;\n",
            "sha256": "187e6a671a37a06a176f91e0d990df89ebbd81417b746a6f20148defca9a6f53",
        },
    ]))]
    pub files: Vec<DeployedFile>,
    /// The export of its script that workers call.
    #[serde(default = "default_export")]
    pub entry_point: String,
    /// `esm`, when left out, or `cjs`.
    #[schema(value_type = Option<String>)]
    pub module_format: Option<Id<ModuleFormat>>,
    /// `stable`, when left out, or `canary`.
    #[schema(value_type = Option<String>)]
    pub release_channel: Option<Id<ReleaseChannel>>,
    /// Who deploys it.
    pub actor: String,
}

/// A file.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployedFile {
    /// The file's path in the skill's folder.
    pub path: String,
    /// The file's text.
    pub content: String,
    /// SHA-256 of the text as UTF-8, in lower-case hex.
    pub sha256: String,
}

fn default_export() -> String {
    "default".to_owned()
}

/// A release that is active.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeployAnswer {
    /// The skill.
    pub slug: String,
    /// The skill's status. A deployment leaves a `disabled` skill disabled.
    pub status: String,
    /// The channel.
    pub release_channel: String,
    /// The release.
    #[serde(flatten)]
    pub release: ReleaseBody,
}

/// Which version to release, and where.
#[serde_with::skip_serializing_none]
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActivateRequest {
    /// A version that is deployed.
    #[schema(value_type = String)]
    pub version: Id<SkillVersion>,
    /// `stable`, when left out, or `canary`.
    #[schema(value_type = Option<String>)]
    pub release_channel: Option<Id<ReleaseChannel>>,
    /// Who releases it.
    pub actor: String,
}

/// Whether the skill is served.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SkillStatusRequest {
    /// `active` or `disabled`.
    #[schema(inline)]
    pub status: SkillSwitch,
    /// Who sets it.
    pub actor: String,
}

/// The statuses that an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SkillSwitch {
    /// The skill is served.
    Active,
    /// The skill is not served; its releases are kept.
    Disabled,
}

impl From<Skill> for SkillBody {
    fn from(skill: Skill) -> Self {
        let active = skill.active.into_iter();
        let active = active.map(|(channel, release)| (channel.as_str().to_owned(), release.into()));
        Self {
            slug: skill.slug.to_string(),
            display_name: skill.display_name,
            description: skill.description,
            status: skill.status.as_str().to_owned(),
            created_at: skill.created.at.as_millis(),
            created_by: skill.created.by,
            updated_at: skill.updated.at.as_millis(),
            updated_by: skill.updated.by,
            active_releases: active.collect(),
        }
    }
}

impl From<Release> for ReleaseBody {
    fn from(release: Release) -> Self {
        let Stamp { at, by } = release.released;
        Self { edition: release.edition.into(), released_at: at.as_millis(), released_by: by }
    }
}

impl From<Edition> for EditionBody {
    fn from(edition: Edition) -> Self {
        Self {
            version: edition.version.to_string(),
            sha256: edition.bundle.to_string(),
            size_bytes: edition.bytes,
            module_format: edition.module_format.as_str().to_owned(),
            entry_point: edition.entry_point,
        }
    }
}

impl From<SkillFile> for SkillFileBody {
    fn from(file: SkillFile) -> Self {
        Self { path: file.path, content: file.content, sha256: file.sha256.to_string() }
    }
}

impl From<DeployedFile> for GivenFile {
    fn from(file: DeployedFile) -> Self {
        Self { path: file.path, content: file.content, sha256: file.sha256 }
    }
}
