//! The data of a global skill: its channels, versions and releases.

use std::collections::BTreeMap;

use crate::ids::{InvalidId, Sha256Hex, SkillSlug, SkillVersion};
use crate::named_enum;
use crate::time::Timestamp;

/// The layout of skills on a worker.
pub const LAYOUT_VERSION: &str = "openclaw-workspace-skill-v1";
/// The value in a marker file that says who manages the skill.
pub const MANAGED_BY: &str = "agent-factory";
/// The marker file in a skill's folder.
pub const MARKER: &str = ".af-global-skill.json";

named_enum! {
    /// The audience of a release.
    #[derive(Default, PartialOrd, Ord)]
    pub enum ReleaseChannel {
        /// Every worker that does not ask for another channel.
        #[default]
        Stable = "stable",
        /// Workers that try a release first.
        Canary = "canary",
    }
}

impl std::str::FromStr for ReleaseChannel {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::parse(text).ok_or(InvalidId { kind: "releaseChannel", rule: "stable or canary" })
    }
}

impl AsRef<str> for ReleaseChannel {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

named_enum! {
    /// The module format of a skill's script.
    #[derive(Default)]
    pub enum ModuleFormat {
        /// An ECMAScript module.
        #[default]
        Esm = "esm",
        /// A CommonJS module.
        Cjs = "cjs",
    }
}

impl ModuleFormat {
    /// The script that a skill of this format must have.
    pub const fn script(self) -> &'static str {
        match self {
            Self::Esm => "scripts/index.mjs",
            Self::Cjs => "scripts/index.cjs",
        }
    }
}

impl std::str::FromStr for ModuleFormat {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::parse(text).ok_or(InvalidId { kind: "moduleFormat", rule: "esm or cjs" })
    }
}

impl AsRef<str> for ModuleFormat {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

named_enum! {
    /// Whether a skill is served.
    pub enum SkillStatus {
        /// The skill is served.
        Active = "active",
        /// The skill is not served. Its releases are kept.
        Disabled = "disabled",
        /// The versions of the skill are being removed. Deleting the skill again continues the removal.
        Deleting = "deleting",
    }
}

/// An actor and a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The time.
    pub at: Timestamp,
    /// The actor, as the operator names it.
    pub by: String,
}

/// A version of a skill, without its files. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edition {
    /// The version.
    pub version: SkillVersion,
    /// The digest of the bundle.
    pub bundle: Sha256Hex,
    /// The total bytes of the files.
    pub bytes: u64,
    /// The bytes of the files in the response with a manifest.
    pub answer_bytes: u64,
    /// The module format of the script.
    pub module_format: ModuleFormat,
    /// The entry point of the script.
    pub entry_point: String,
}

impl Edition {
    /// Whether `other` is the same version with the same files, format and entry point. `answer_bytes` is not
    /// compared, because it follows from them and from the code that responds.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let made_of =
            |e: &Self| (e.version.clone(), e.bundle.clone(), e.module_format, e.entry_point.clone());
        made_of(self) == made_of(other)
    }
}

/// An edition that is released on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The released edition.
    pub edition: Edition,
    /// Who released it on this channel last.
    pub released: Stamp,
}

/// A stored version, and the channels on which it was released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedVersion {
    /// The edition.
    pub edition: Edition,
    /// The number of files.
    pub files: u32,
    /// Who deployed it first.
    pub deployed: Stamp,
    /// Who released it last, by channel.
    pub released: BTreeMap<ReleaseChannel, Stamp>,
}

/// A skill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skill {
    /// The slug.
    pub slug: SkillSlug,
    /// The name shown to people.
    pub display_name: Option<String>,
    /// The purpose of the skill.
    pub description: Option<String>,
    /// Whether the skill is served.
    pub status: SkillStatus,
    /// The active releases. A disabled skill keeps them.
    pub active: BTreeMap<ReleaseChannel, Release>,
    /// Grows with every change. It starts with the current time, so that a skill that is deleted and created
    /// again never has the same revision twice.
    pub revision: u64,
    /// Who created the skill.
    pub created: Stamp,
    /// Who changed the skill last.
    pub updated: Stamp,
}

impl Skill {
    /// Creates a skill without a release.
    pub fn new(slug: SkillSlug, stamp: Stamp) -> Self {
        Self {
            slug,
            display_name: None,
            description: None,
            status: SkillStatus::Active,
            active: BTreeMap::new(),
            revision: stamp.at.as_millis(),
            created: stamp.clone(),
            updated: stamp,
        }
    }

    /// Returns the skill after `change` by the actor of `stamp`.
    #[must_use]
    pub fn changed(&self, stamp: Stamp, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed.revision = (self.revision + 1).max(stamp.at.as_millis());
        changed.updated = stamp;
        changed
    }

    /// Returns the release of this skill that the channel serves.
    pub fn served(&self, channel: ReleaseChannel) -> Option<&Release> {
        self.active.get(&channel).filter(|_| self.status == SkillStatus::Active)
    }
}
