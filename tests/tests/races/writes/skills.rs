//! Writes of skills and channels.

use std::collections::BTreeMap;

use af_app::App;
use af_domain::ids::{SkillSlug, SkillVersion};
use af_domain::skill::bundle::{Bundle, GivenFile, sha256};
use af_domain::skill::{
    DeployedVersion, Edition, ModuleFormat, Release, ReleaseChannel, Skill, SkillStatus, Stamp,
};
use af_store::conversation::Commit;
use af_store::skill::{SkillChange, VersionChange};

use crate::world::World;

fn bundle() -> Bundle {
    let file =
        |path: &str| GivenFile { path: path.into(), content: "x".into(), sha256: sha256(b"x").to_string() };
    Bundle::of(vec![file("SKILL.md"), file("scripts/index.mjs")], ModuleFormat::Esm).unwrap()
}

/// Deploys and releases a new skill, which writes every item that one change can write.
pub async fn change_skill_if_unchanged(world: &World, app: &App, times: usize) -> Vec<String> {
    let (bundle, stamp) = (bundle(), Stamp { at: app.now(), by: "ann".into() });
    let edition = Edition {
        version: SkillVersion::parse("1.0.0").unwrap(),
        bundle: bundle.sha256().clone(),
        bytes: bundle.bytes() as u64,
        answer_bytes: bundle.bytes() as u64,
        module_format: ModuleFormat::Esm,
        entry_point: "default".into(),
    };
    let released = BTreeMap::from([(ReleaseChannel::Stable, stamp.clone())]);
    let deployed = DeployedVersion { edition: edition.clone(), files: 2, deployed: stamp.clone(), released };
    let mut skill = Skill::new(SkillSlug::parse("ab").unwrap(), stamp.clone());
    skill.active.insert(ReleaseChannel::Stable, Release { edition, released: stamp });
    let channel = world.app.store.skill_channel(ReleaseChannel::Stable).await.unwrap();
    let after = channel.following(&skill, app.now()).unwrap().unwrap();
    let change = SkillChange {
        before: None,
        skill: &skill,
        channels: vec![(channel.revision, after)],
        version: VersionChange::Deployed(&deployed, &bundle),
    };
    send!(times, app.store.change_skill_if_unchanged(&change))
}

/// Deletes a skill without versions.
pub async fn delete_skill_if_deleting(world: &World, app: &App, times: usize) -> Vec<String> {
    let stamp = Stamp { at: app.now(), by: "ann".into() };
    let mut skill = Skill::new(SkillSlug::parse("ab").unwrap(), stamp);
    skill.status = SkillStatus::Deleting;
    let change = SkillChange { before: None, skill: &skill, channels: vec![], version: VersionChange::None };
    let marked = world.app.store.change_skill_if_unchanged(&change).await.unwrap();
    assert!(matches!(marked, Commit::Done));
    send!(times, app.store.delete_skill_if_deleting(&skill.slug))
}
