//! Skills, versions, files and channels as items.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use af_domain::ids::{Sha256Hex, SkillSlug, SkillVersion};
use af_domain::skill::bundle::SkillFile;
use af_domain::skill::channel::Channel;
use af_domain::skill::{DeployedVersion, Edition, Release, ReleaseChannel, Skill, SkillStatus, Stamp};

use crate::item::{Item, Reader, Value, Writer};
use crate::{Result, keys};

pub(super) fn stamp_item(stamp: &Stamp) -> Item {
    Writer::default().put("at", stamp.at).put("by", stamp.by.as_str()).build()
}

fn with_edition(writer: Writer, edition: &Edition) -> Writer {
    writer
        .put("ver", edition.version.as_str())
        .put("bh", edition.bundle.as_str())
        .put("sz", edition.bytes)
        .put("az", edition.answer_bytes)
        .put("mf", edition.module_format.as_str())
        .put("ep", edition.entry_point.as_str())
}

/// Returns the releases keyed by channel or skill.
pub(super) fn releases_item<'a>(releases: impl Iterator<Item = (&'a str, &'a Release)>) -> Item {
    let item = |release: &Release| {
        let stamp = &release.released;
        with_edition(Writer::default(), &release.edition)
            .put("at", stamp.at)
            .put("by", stamp.by.as_str())
            .build()
    };
    releases.map(|(name, release)| (name.to_owned(), Value::from(item(release)).0)).collect()
}

pub(super) fn version_item(slug: &SkillSlug, deployed: &DeployedVersion) -> Item {
    let released = deployed.released.iter();
    let released: Item = released
        .map(|(channel, stamp)| (channel.as_str().to_owned(), Value::from(stamp_item(stamp)).0))
        .collect();
    with_edition(Writer::at(keys::skill_version(slug, &deployed.edition.version)), &deployed.edition)
        .put("nf", deployed.files)
        .put("at", deployed.deployed.at)
        .put("by", deployed.deployed.by.as_str())
        .put("rl", released)
        .build()
}

pub(super) fn files_item(slug: &SkillSlug, bundle: &Sha256Hex, files: &[SkillFile]) -> Item {
    let file = |file: &SkillFile| {
        let item = Writer::default()
            .put("p", file.path.as_str())
            .put("c", file.content.as_str())
            .put("h", file.sha256.as_str());
        Value::from(item.build()).0
    };
    let files = Value(AttributeValue::L(files.iter().map(file).collect()));
    Writer::at(keys::skill_bundle(slug, bundle)).put("fs", files).build()
}

pub(super) fn skill_from(item: &Item) -> Result<Skill> {
    let reader = Reader::of(item);
    let text = |name| reader.text_if(name).map(|text| text.map(str::to_owned));
    let active = releases_from(&reader, |name| ReleaseChannel::parse(name))?;
    Ok(Skill {
        slug: reader.id("sk", SkillSlug::parse)?,
        display_name: text("dn")?,
        description: text("de")?,
        status: SkillStatus::parse(reader.text("st")?)
            .ok_or_else(|| reader.malformed("st", "not a status"))?,
        active,
        revision: reader.number("v")?,
        created: stamp_from(&reader, "at", "by")?,
        updated: stamp_from(&reader, "up", "ub")?,
    })
}

pub(super) fn channel_from(name: ReleaseChannel, item: &Item) -> Result<Channel> {
    let reader = Reader::of(item);
    Ok(Channel {
        name,
        serves: releases_from(&reader, |slug| SkillSlug::parse(slug).ok())?,
        revision: reader.number("v")?,
        changed_at: reader.time("up")?,
    })
}

pub(super) fn version_from(item: &Item) -> Result<DeployedVersion> {
    let reader = Reader::of(item);
    let mut released = BTreeMap::new();
    if let Some(stamps) = reader.map_if("rl")? {
        for channel in ReleaseChannel::ALL {
            if let Some(stamp) = stamps.map_if(channel.as_str())? {
                released.insert(channel, stamp_from(&stamp, "at", "by")?);
            }
        }
    }
    let files = u32::try_from(reader.number("nf")?).map_err(|_| reader.malformed("nf", "too large"))?;
    Ok(DeployedVersion {
        edition: edition_from(&reader)?,
        files,
        deployed: stamp_from(&reader, "at", "by")?,
        released,
    })
}

pub(super) fn files_from(item: &Item) -> Result<Vec<SkillFile>> {
    let file = |file: Reader<'_>| {
        Ok(SkillFile {
            path: file.text("p")?.to_owned(),
            content: file.text("c")?.to_owned(),
            sha256: file.id("h", Sha256Hex::parse)?,
        })
    };
    Reader::of(item).maps("fs")?.into_iter().map(file).collect()
}

/// Returns the skill of a files item.
pub(super) fn slug_of(item: &Item) -> Result<SkillSlug> {
    Reader::of(item).id_after("S#", "pk", SkillSlug::parse)
}

fn releases_from<K: Ord>(
    reader: &Reader<'_>,
    key: impl Fn(&str) -> Option<K>,
) -> Result<BTreeMap<K, Release>> {
    let Some(map) = reader.map_if("rl")? else { return Ok(BTreeMap::new()) };
    let release = |name: &str| -> Result<(K, Release)> {
        let key = key(name).ok_or_else(|| map.malformed(name, "not a name"))?;
        let release = map.map_if(name)?.ok_or_else(|| map.malformed(name, "missing"))?;
        let released = stamp_from(&release, "at", "by")?;
        Ok((key, Release { edition: edition_from(&release)?, released }))
    };
    map.names().map(release).collect()
}

fn edition_from(reader: &Reader<'_>) -> Result<Edition> {
    Ok(Edition {
        version: reader.id("ver", SkillVersion::parse)?,
        bundle: reader.id("bh", Sha256Hex::parse)?,
        bytes: reader.number("sz")?,
        answer_bytes: reader.number("az")?,
        module_format: reader.id("mf", |text| text.parse())?,
        entry_point: reader.text("ep")?.to_owned(),
    })
}

fn stamp_from(reader: &Reader<'_>, at: &str, by: &str) -> Result<Stamp> {
    Ok(Stamp { at: reader.time(at)?, by: reader.text(by)?.to_owned() })
}
