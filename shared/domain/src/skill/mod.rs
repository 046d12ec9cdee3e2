//! Global skills: folders of text files that every worker gets.
//!
//! ```text
//! deploy ──► version (a bundle of files, never changed) ──► active release of a channel ──► manifest ──► workers
//!                                                   activate ──┘ again, also an earlier one
//! ```
//!
//! **Invariants**
//! - A version's bundle, entry point and module format never change.
//! - A skill has at most one active release on a channel. A channel serves the active releases of the skills that are
//!   not disabled, and no more of them than fit into one answer ([`channel`]).
//! - A skill that is being deleted is served nowhere, and nothing is deployed to it until it is gone.

pub mod bundle;
pub mod channel;

use std::collections::BTreeMap;

use crate::ids::{InvalidId, Sha256Hex, SkillSlug, SkillVersion};
use crate::time::Timestamp;

/// How skills lie on a worker.
pub const LAYOUT_VERSION: &str = "openclaw-workspace-skill-v1";
/// Who put a skill there, in its marker file.
pub const MANAGED_BY: &str = "agent-factory";
/// The file in a skill's folder that says whose it is.
pub const MARKER: &str = ".af-global-skill.json";

/// Who gets a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReleaseChannel {
    /// Everybody who does not ask for another.
    #[default]
    Stable,
    /// Those who try it first.
    Canary,
}

impl ReleaseChannel {
    /// Every channel.
    pub const ALL: [Self; 2] = [Self::Stable, Self::Canary];

    /// The channel as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
        }
    }

    /// Reads a channel.
    ///
    /// # Errors
    /// `InvalidId` naming those there are.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, InvalidId> {
        let found = Self::ALL.into_iter().find(|channel| channel.as_str() == text.as_ref());
        found.ok_or(InvalidId { kind: "releaseChannel", rule: "stable or canary" })
    }
}

impl std::str::FromStr for ReleaseChannel {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::parse(text)
    }
}

impl AsRef<str> for ReleaseChannel {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// How a skill's script is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModuleFormat {
    /// An ECMAScript module.
    #[default]
    Esm,
    /// A CommonJS module.
    Cjs,
}

impl ModuleFormat {
    /// The format as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Esm => "esm",
            Self::Cjs => "cjs",
        }
    }

    /// Reads a format.
    ///
    /// # Errors
    /// `InvalidId` naming those there are.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, InvalidId> {
        let found = [Self::Esm, Self::Cjs].into_iter().find(|format| format.as_str() == text.as_ref());
        found.ok_or(InvalidId { kind: "moduleFormat", rule: "esm or cjs" })
    }

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
        Self::parse(text)
    }
}

impl AsRef<str> for ModuleFormat {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// Whether a skill is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkillStatus {
    /// It is.
    Active,
    /// It is not; its releases are kept.
    Disabled,
    /// Its versions are being removed. Deleting it again goes on with that.
    Deleting,
}

impl SkillStatus {
    /// The status as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Deleting => "deleting",
        }
    }

    /// Reads a stored status.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Disabled, Self::Deleting].into_iter().find(|s| s.as_str() == text)
    }
}

/// Who did something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When.
    pub at: Timestamp,
    /// Who, in the operator's words.
    pub by: String,
}

/// A version of a skill, without its files. Never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edition {
    /// Which version.
    pub version: SkillVersion,
    /// What its files are known by.
    pub bundle: Sha256Hex,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes it takes in the answer that brings a manifest.
    pub answer_bytes: u64,
    /// How its script is loaded.
    pub module_format: ModuleFormat,
    /// What of the script is called.
    pub entry_point: String,
}

impl Edition {
    /// Whether `other` is this version with these files, called in this way. What it takes in an answer follows from
    /// that, and from the code that answers.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let made_of =
            |e: &Self| (e.version.clone(), e.bundle.clone(), e.module_format, e.entry_point.clone());
        made_of(self) == made_of(other)
    }
}

/// An edition on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// What was released.
    pub edition: Edition,
    /// Who released it there last.
    pub released: Stamp,
}

/// A version as it is kept, with where it was released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// What was deployed.
    pub edition: Edition,
    /// How many files it has.
    pub files: u32,
    /// Who deployed it first.
    pub deployed: Stamp,
    /// Who released it last, by channel.
    pub released: BTreeMap<ReleaseChannel, Stamp>,
}

/// A skill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skill {
    /// Its name.
    pub slug: SkillSlug,
    /// What people see.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it is served.
    pub status: SkillStatus,
    /// Its active releases; one that is disabled keeps them.
    pub active: BTreeMap<ReleaseChannel, Release>,
    /// Grows with every change. It begins with the time, so that a skill which was deleted and made anew has no
    /// revision twice.
    pub revision: u64,
    /// Who made it.
    pub created: Stamp,
    /// Who changed it last.
    pub updated: Stamp,
}

impl Skill {
    /// A skill without a release.
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

    /// The skill after `change`, made by whom the stamp names.
    #[must_use]
    pub fn changed(&self, stamp: Stamp, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed.revision = (self.revision + 1).max(stamp.at.as_millis());
        changed.updated = stamp;
        changed
    }

    /// What the channel serves of this skill.
    pub fn served(&self, channel: ReleaseChannel) -> Option<&Release> {
        self.active.get(&channel).filter(|_| self.status == SkillStatus::Active)
    }
}
