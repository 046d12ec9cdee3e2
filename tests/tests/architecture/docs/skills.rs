//! Samples of the keys of global skills.

use std::collections::BTreeMap;

use af_domain::ids::{SkillSlug, SkillVersion};
use af_domain::skill::ReleaseChannel;
use af_domain::skill::bundle::sha256;
use af_store::keys::{self, Key};

use crate::docs::samples::Samples;

pub fn samples() -> Samples {
    let (skill, version) = (SkillSlug::parse("search").unwrap(), SkillVersion::parse("1.4.0").unwrap());
    let bundle = sha256(b"files");
    let key = |key: Key| vec![key.pk, key.sk];
    let made = [
        ("SKILLS", vec![keys::SKILLS.into()]),
        ("SKILL_VERSIONS", vec![keys::SKILL_VERSIONS.into()]),
        ("skill", key(keys::skill(&skill))),
        ("skill_bundle", key(keys::skill_bundle(&skill, &bundle))),
        ("skill_channel", key(keys::skill_channel(ReleaseChannel::Canary))),
        ("skill_partition", vec![keys::skill_partition(&skill)]),
        ("skill_version", key(keys::skill_version(&skill, &version))),
    ];
    let placeholders = vec![
        ("bundle", bundle.to_string()),
        ("channel", "canary".into()),
        ("slug", skill.to_string()),
        ("version", version.to_string()),
    ];
    Samples { made: BTreeMap::from(made), placeholders }
}
