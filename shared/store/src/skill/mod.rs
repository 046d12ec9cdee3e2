//! Global skills: their rows, versions, files and channels.
//!
//! A skill's row and its channels are changed together ([`Store::change_skill_if_unchanged`]), each on
//! condition of the revision that was read. Versions and files are written in the same transaction and never
//! changed.

mod item;
mod write;

pub use write::{SkillChange, VersionChange};

use af_domain::ids::{Sha256Hex, SkillSlug, SkillVersion};
use af_domain::skill::bundle::SkillFile;
use af_domain::skill::channel::Channel;
use af_domain::skill::{DeployedVersion, ReleaseChannel, Skill};

use crate::item::Item;
use crate::write::queried;
use crate::{Result, Store, keys};

impl Store {
    /// Returns a skill, strongly consistent.
    pub async fn skill(&self, slug: &SkillSlug) -> Result<Option<Skill>> {
        self.get(keys::skill(slug), true).await?.as_ref().map(item::skill_from).transpose()
    }

    /// Returns one page of skills ordered by slug, starting after `after`.
    pub async fn skills(&self, limit: i32, after: Option<&str>) -> Result<Vec<Skill>> {
        // A space sorts before every character of a slug, so `after` followed by a space is the first
        // position after that slug.
        let after = after.map_or_else(|| " ".to_owned(), |a| format!("{a} "));
        let items = self.page_after(keys::SKILLS.to_owned(), after, "~", limit).await?;
        items.iter().map(item::skill_from).collect()
    }

    /// Returns a version of a skill, strongly consistent.
    pub async fn skill_version(
        &self,
        slug: &SkillSlug,
        version: &SkillVersion,
    ) -> Result<Option<DeployedVersion>> {
        let item = self.get(keys::skill_version(slug, version), true).await?;
        item.as_ref().map(item::version_from).transpose()
    }

    /// Returns one page of a skill's versions, ordered by version as text, starting after `after`, strongly
    /// consistent.
    pub async fn skill_versions(
        &self,
        slug: &SkillSlug,
        limit: i32,
        after: Option<&str>,
    ) -> Result<Vec<DeployedVersion>> {
        let prefix = keys::SKILL_VERSIONS;
        let after = after.map_or_else(|| prefix.to_owned(), |a| format!("{prefix}{a} "));
        let items = self.page_after(keys::skill_partition(slug), after, &format!("{prefix}~"), limit).await?;
        items.iter().map(item::version_from).collect()
    }

    /// Returns the files of a version, strongly consistent.
    pub async fn skill_files(&self, slug: &SkillSlug, bundle: &Sha256Hex) -> Result<Option<Vec<SkillFile>>> {
        let item = self.get(keys::skill_bundle(slug, bundle), true).await?;
        item.as_ref().map(item::files_from).transpose()
    }

    /// Returns the files of one version per skill, in no particular order. The read is eventually consistent,
    /// so recently written files may be missing.
    pub async fn files_of_skills(
        &self,
        wanted: &[(&SkillSlug, &Sha256Hex)],
    ) -> Result<Vec<(SkillSlug, Vec<SkillFile>)>> {
        let wanted = wanted.iter().map(|(slug, bundle)| keys::skill_bundle(slug, bundle));
        let found = self.batch_get(wanted, false).await?;
        found.iter().map(|item| Ok((item::slug_of(item)?, item::files_from(item)?))).collect()
    }

    /// Returns a channel, strongly consistent.
    pub async fn skill_channel(&self, name: ReleaseChannel) -> Result<Channel> {
        let item = self.get(keys::skill_channel(name), true).await?;
        item.as_ref().map_or(Ok(Channel::new(name)), |item| item::channel_from(name, item))
    }

    /// Returns at most `limit` items of a partition between two sort keys, strongly consistent.
    async fn page_after(
        &self,
        partition: String,
        after: String,
        until: &str,
        limit: i32,
    ) -> Result<Vec<Item>> {
        let values = [(":pk", partition.into()), (":after", after.into()), (":until", until.into())];
        let query = self.query("#pk = :pk AND #sk BETWEEN :after AND :until", values);
        let answer = queried(query.consistent_read(true).limit(limit)).await?;
        Ok(answer.items.unwrap_or_default())
    }
}
