//! Global skills: their rows, versions, files, and what each channel serves.
//!
//! A skill's row and the channels are changed together ([`Store::change_skill_if_unchanged`]), each on the revision
//! that the change was decided on. Versions and files are written in that transaction and never changed.

mod item;
mod write;

pub use write::{SkillChange, VersionChange};

use af_domain::ids::{Sha256Hex, SkillSlug, SkillVersion};
use af_domain::skill::bundle::SkillFile;
use af_domain::skill::channel::Channel;
use af_domain::skill::{Deployed, ReleaseChannel, Skill};

use crate::conversation::MAX_BATCH_GET_KEYS;
use crate::expression::names_in;
use crate::item::{Item, Value};
use crate::{Store, StoreError, keys};

impl Store {
    /// A skill, strongly consistent.
    ///
    /// # Errors
    /// When the table cannot answer, or the item is malformed.
    pub async fn skill(&self, slug: &SkillSlug) -> Result<Option<Skill>, StoreError> {
        self.get(keys::skill(slug), true).await?.as_ref().map(item::skill_from).transpose()
    }

    /// One page of skills by slug, after `after`.
    ///
    /// # Errors
    /// When the table cannot answer, or an item is malformed.
    pub async fn skills(&self, limit: i32, after: Option<&str>) -> Result<Vec<Skill>, StoreError> {
        // A space sorts before every character of a slug: nothing lies between a slug and it with a space behind.
        let after = after.map_or_else(|| " ".to_owned(), |a| format!("{a} "));
        let items = self.page_after(keys::SKILLS.to_owned(), after, "~", limit).await?;
        items.iter().map(item::skill_from).collect()
    }

    /// A version of a skill, strongly consistent.
    ///
    /// # Errors
    /// When the table cannot answer, or the item is malformed.
    pub async fn skill_version(
        &self,
        slug: &SkillSlug,
        version: &SkillVersion,
    ) -> Result<Option<Deployed>, StoreError> {
        let item = self.get(keys::skill_version(slug, version), true).await?;
        item.as_ref().map(item::version_from).transpose()
    }

    /// One page of a skill's versions, by version as a text, after `after`; strongly consistent.
    ///
    /// # Errors
    /// When the table cannot answer, or an item is malformed.
    pub async fn skill_versions(
        &self,
        slug: &SkillSlug,
        limit: i32,
        after: Option<&str>,
    ) -> Result<Vec<Deployed>, StoreError> {
        let prefix = keys::SKILL_VERSIONS;
        let after = after.map_or_else(|| prefix.to_owned(), |a| format!("{prefix}{a} "));
        let items = self.page_after(keys::skill_partition(slug), after, &format!("{prefix}~"), limit).await?;
        items.iter().map(item::version_from).collect()
    }

    /// The files of a version, strongly consistent.
    ///
    /// # Errors
    /// When the table cannot answer, or the item is malformed.
    pub async fn skill_files(
        &self,
        slug: &SkillSlug,
        bundle: &Sha256Hex,
    ) -> Result<Option<Vec<SkillFile>>, StoreError> {
        let item = self.get(keys::skill_bundle(slug, bundle), true).await?;
        item.as_ref().map(item::files_from).transpose()
    }

    /// The files of many versions, of one for each skill, in no order. Eventually consistent: one that was written a
    /// moment ago may be missing.
    ///
    /// # Errors
    /// When the table cannot answer, or an item is malformed.
    pub async fn files_of_skills(
        &self,
        wanted: &[(&SkillSlug, &Sha256Hex)],
    ) -> Result<Vec<(SkillSlug, Vec<SkillFile>)>, StoreError> {
        let mut found = Vec::with_capacity(wanted.len());
        for batch in wanted.chunks(MAX_BATCH_GET_KEYS) {
            let batch = batch.iter().map(|(slug, bundle)| keys::skill_bundle(slug, bundle).attributes());
            for item in self.batch_get(batch.collect()).await? {
                found.push((item::slug_of(&item)?, item::files_from(&item)?));
            }
        }
        Ok(found)
    }

    /// What a channel serves, strongly consistent.
    ///
    /// # Errors
    /// When the table cannot answer, or the item is malformed.
    pub async fn skill_channel(&self, name: ReleaseChannel) -> Result<Channel, StoreError> {
        let item = self.get(keys::skill_channel(name), true).await?;
        item.as_ref().map_or(Ok(Channel::new(name)), |item| item::channel_from(name, item))
    }

    /// Items of a partition between two sort keys, at most `limit`, strongly consistent.
    async fn page_after(
        &self,
        partition: String,
        after: String,
        until: &str,
        limit: i32,
    ) -> Result<Vec<Item>, StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :after AND :until")
            .set_expression_attribute_names(Some(names_in("#pk #sk")))
            .expression_attribute_values(":pk", Value::from(partition).0)
            .expression_attribute_values(":after", Value::from(after).0)
            .expression_attribute_values(":until", Value::from(until).0)
            .consistent_read(true)
            .limit(limit)
            .send()
            .await
            .map_err(|e| StoreError::from_sdk("Query", &e))?;
        Ok(answer.items.unwrap_or_default())
    }
}
