//! The writes that change skills.

use af_domain::ids::SkillSlug;
use af_domain::skill::bundle::Bundle;
use af_domain::skill::channel::Channel;
use af_domain::skill::{DeployedVersion, ReleaseChannel, Skill, Stamp};

use super::item::{files_item, releases_item, stamp_item, version_item};
use crate::expression::Update;
use crate::item::Value;
use crate::write::Commit;
use crate::{Result, Store, keys};

/// A change of a skill, decided on the state that was read.
#[derive(Debug)]
pub struct SkillChange<'a> {
    /// The revision of the skill that was read; `None` if there was none.
    pub before: Option<u64>,
    /// The skill after the change.
    pub skill: &'a Skill,
    /// The channels that change with the skill, each with the revision that was read.
    pub channels: Vec<(u64, Channel)>,
    /// The change of a version.
    pub version: VersionChange<'a>,
}

/// The change of a version.
#[derive(Debug)]
pub enum VersionChange<'a> {
    /// No version changes.
    None,
    /// The version is deployed with these files.
    Deployed(&'a DeployedVersion, &'a Bundle),
    /// The existing version is released on a channel.
    Released(&'a DeployedVersion, ReleaseChannel, &'a Stamp),
}

impl Store {
    /// Changes a skill, the channels that follow it, and a version, in one transaction. A repeated change may
    /// find its own result and return `Stale`.
    pub async fn change_skill_if_unchanged(&self, change: &SkillChange<'_>) -> Result<Commit> {
        let slug = &change.skill.slug;
        let mut transaction = self.transaction().update(skill_update(change.before, change.skill));
        for (before, channel) in &change.channels {
            transaction = transaction.update(channel_update(*before, channel));
        }
        let transaction = match change.version {
            VersionChange::None => transaction,
            VersionChange::Deployed(deployed, bundle) => {
                let files = files_item(slug, bundle.sha256(), bundle.files());
                transaction.put_new(version_item(slug, deployed)).put(files)
            }
            VersionChange::Released(deployed, channel, stamp) => {
                let path = format!("rl.{}", channel.as_str());
                let key = keys::skill_version(slug, &deployed.edition.version);
                let update = Update::of(key).set(&path, stamp_item(stamp)).when("attribute_exists(#pk)");
                transaction.update(update)
            }
        };
        self.commit_or_stale(transaction).await
    }

    /// Deletes a version and its files. The version is deleted last, so that the deletion can be repeated.
    pub async fn delete_skill_version(&self, slug: &SkillSlug, deployed: &DeployedVersion) -> Result<()> {
        self.delete(&keys::skill_bundle(slug, &deployed.edition.bundle)).await?;
        self.delete(&keys::skill_version(slug, &deployed.edition.version)).await
    }

    /// Deletes a skill whose versions are gone.
    pub async fn delete_skill_if_deleting(&self, slug: &SkillSlug) -> Result<Commit> {
        let transaction = self.transaction().delete_when_is(&keys::skill(slug), "st", "deleting");
        self.commit_or_stale(transaction).await
    }
}

fn skill_update(before: Option<u64>, skill: &Skill) -> Update {
    let active = skill.active.iter().map(|(channel, release)| (channel.as_str(), release));
    let update = Update::of(keys::skill(&skill.slug))
        .set_or_remove("dn", skill.display_name.as_deref())
        .set_or_remove("de", skill.description.as_deref())
        .set("st", skill.status.as_str())
        .set("rl", Value::from(releases_item(active)))
        .set("at", skill.created.at)
        .set("by", skill.created.by.as_str())
        .set("up", skill.updated.at)
        .set("ub", skill.updated.by.as_str());
    at_revision(update, before, skill.revision)
}

fn channel_update(before: u64, channel: &Channel) -> Update {
    let serves = channel.serves.iter().map(|(slug, release)| (slug.as_str(), release));
    let update = Update::of(keys::skill_channel(channel.name))
        .set("rl", Value::from(releases_item(serves)))
        .set("up", channel.changed_at);
    at_revision(update, (before > 0).then_some(before), channel.revision)
}

fn at_revision(update: Update, before: Option<u64>, after: u64) -> Update {
    let update = update.set("v", after);
    match before {
        Some(before) => update.when_is("v", before),
        None => update.when("attribute_not_exists(#pk)"),
    }
}
