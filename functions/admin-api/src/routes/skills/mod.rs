//! Global skills.

pub mod activate;
pub mod delete;
pub mod deploy;
pub mod get;
pub mod list;
pub mod status;
pub mod version;
pub mod versions;

use std::collections::BTreeMap;

use af_app::skills::VersionView;
use af_domain::skill::{Edition, Release, Skill, Stamp};
use serde::Serialize;
use utoipa::ToSchema;

/// A skill. Times are epoch ms.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkillBody {
    slug: String,
    /// What people see.
    display_name: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// `active`, `disabled`, or `deleting`: served nowhere, and not gone yet.
    status: &'static str,
    created_at: u64,
    created_by: String,
    updated_at: u64,
    updated_by: String,
    /// Its active release by channel; a disabled skill keeps them, and is not served.
    active_releases: BTreeMap<&'static str, ReleaseBody>,
}

/// A version on a channel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseBody {
    #[serde(flatten)]
    edition: EditionBody,
    released_at: u64,
    /// Who released it there last.
    released_by: String,
}

/// What a version is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EditionBody {
    version: String,
    /// SHA-256 of its bundle.
    sha256: String,
    /// Bytes of its files together.
    size_bytes: u64,
    /// `esm` or `cjs`.
    module_format: &'static str,
    entry_point: String,
}

/// A version of a skill, and where it was released.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionBody {
    #[serde(flatten)]
    edition: EditionBody,
    file_count: u32,
    deployed_at: u64,
    deployed_by: String,
    /// Its releases by channel, also those that are not active any more.
    releases: BTreeMap<&'static str, PastReleaseBody>,
}

/// A release, whether it is active or not.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastReleaseBody {
    released_at: u64,
    /// Who released it there last.
    released_by: String,
    /// Whether it is the channel's active one.
    active: bool,
}

impl From<Skill> for SkillBody {
    fn from(skill: Skill) -> Self {
        let active = skill.active.into_iter().map(|(channel, release)| (channel.as_str(), release.into()));
        Self {
            slug: skill.slug.to_string(),
            display_name: skill.display_name,
            description: skill.description,
            status: skill.status.as_str(),
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
            module_format: edition.module_format.as_str(),
            entry_point: edition.entry_point,
        }
    }
}

impl From<VersionView> for VersionBody {
    fn from(view: VersionView) -> Self {
        let VersionView { deployed, active_on } = view;
        let release = |(channel, stamp): (_, Stamp)| {
            let (released_at, released_by) = (stamp.at.as_millis(), stamp.by);
            let active = active_on.contains(&channel);
            (channel.as_str(), PastReleaseBody { released_at, released_by, active })
        };
        Self {
            edition: deployed.edition.into(),
            file_count: deployed.files,
            deployed_at: deployed.deployed.at.as_millis(),
            deployed_by: deployed.deployed.by,
            releases: deployed.released.into_iter().map(release).collect(),
        }
    }
}
