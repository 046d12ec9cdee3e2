//! Random manifests: paths, contents and hashes that may be wrong, installed where links may already be.
//!
//! `AF_FUZZ_CASES=1000000 cargo test -p af-agent fuzz` runs more of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use af_api::worker::skills::{Manifest, ManifestFile, ManifestSkill};
use af_domain::skill::bundle::sha256;
use af_domain::skill::{LAYOUT_VERSION, MARKER};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::{install, manifest};
use crate::config::SkillsConfig;
use crate::tree;

fn cases() -> u32 {
    std::env::var("AF_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

fn files() -> impl Strategy<Value = Vec<(String, String)>> {
    let part = prop_oneof!["[a-c]{1,2}", "\\.\\.", "\\.", "", "link", "\u{0}", "[^/]{0,6}"];
    let path =
        prop_oneof![4 => vec(part, 1..4).prop_map(|parts| parts.join("/")), 1 => Just(MARKER.to_owned())];
    vec((path, "[a-z]{0,8}"), 0..3)
}

fn skill() -> impl Strategy<Value = ManifestSkill> {
    let slug = prop_oneof![8 => "[a-c]{2}", 1 => ".{0,6}", 1 => Just("..".to_owned())];
    // A wrong hash is found early. Most manifests must get further than that.
    (slug, files(), prop::bool::weighted(0.05), prop::bool::weighted(0.05)).prop_map(
        |(slug, more, bad_file, bad_bundle)| {
            let required = [("SKILL.md", "---\nname: a\ndescription: b\n---\n"), ("scripts/index.mjs", "x")];
            let mut files: Vec<_> =
                required.map(|(path, content)| (path.to_owned(), content.to_owned())).into();
            files.extend(more);
            files.sort();
            let hash = |content: &str| sha256(content.as_bytes()).to_string();
            let parts = files.iter().map(|(path, content)| format!("{path}\n{}\n{content}", hash(content)));
            let bundle = hash(&parts.collect::<Vec<_>>().join("\n---\n"));
            let marker = serde_json::json!({"slug": slug, "managedBy": "agent-factory"}).to_string();
            files.push((MARKER.to_owned(), marker));
            let file = |(path, content): (String, String)| {
                let sha256 = if bad_file { "0".repeat(64) } else { hash(&content) };
                ManifestFile { path, content, sha256 }
            };
            ManifestSkill {
                slug: slug.clone(),
                version: "1.0.0".to_owned(),
                module_format: "esm".to_owned(),
                entry_point: "default".to_owned(),
                sha256: if bad_bundle { "0".repeat(64) } else { bundle },
                skill_dir_name: slug,
                files: files.into_iter().map(file).collect(),
            }
        },
    )
}

/// The names and contents of all files in `folder`.
fn contents(folder: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap_or_default())).collect()
}

#[test]
fn a_random_manifest_of_skills_changes_nothing_outside_and_does_not_panic() {
    let (home, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("victim"), "untouched").unwrap();
    let before = contents(outside.path());
    let config = Config {
        cases: cases(),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    };
    let strategy = (vec(skill(), 0..3), prop::option::of("[a-c]{2}"), any::<bool>());
    let check = |(skills, link, is_linked): (Vec<ManifestSkill>, Option<String>, bool)| {
        let data_dir = home.path().join("data");
        fs::create_dir(&data_dir).unwrap();
        let dir = data_dir.join("skills");
        match link {
            _ if is_linked => symlink(outside.path(), &dir).unwrap(),
            Some(link) => {
                fs::create_dir(&dir).unwrap();
                symlink(outside.path(), dir.join(link)).unwrap();
            }
            None => {}
        }
        let manifest = Manifest {
            layout_version: LAYOUT_VERSION.to_owned(),
            manifest_version: "v".to_owned(),
            generated_at: 1,
            release_channel: "stable".to_owned(),
            workspace_id: "default".to_owned(),
            skills,
        };
        if let Ok(folders) = manifest::checked(manifest, "stable") {
            let config = SkillsConfig {
                dir,
                data_dir: Some(data_dir.clone()),
                volume: None,
                channel: "stable".to_owned(),
                required: true,
                timeout: Duration::from_secs(1),
                remove_unmanaged: true,
                bundled_dir: None,
            };
            install::install(&config, &folders).unwrap();
        }
        assert_eq!(contents(outside.path()), before);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
        tree::remove(home.path(), &data_dir).unwrap();
    };
    TestRunner::new(config)
        .run(&strategy, |input| {
            check(input);
            Ok(())
        })
        .unwrap();
}
