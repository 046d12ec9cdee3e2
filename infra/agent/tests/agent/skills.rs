//! Skills on the disk: what the worker fetches, writes, and leaves alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use af_agent::{AgentError, Exit, run};
use af_domain::skill::bundle::sha256;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Fake, config, never, nothing, ok, problem};

const MARKER: &str = ".af-global-skill.json";

fn file(path: &str, content: &str) -> Value {
    json!({"path": path, "content": content, "sha256": sha256(content.as_bytes()).as_str()})
}

/// A skill as the server sends it, with these files in addition to the required ones.
fn skill(slug: &str, script: &str, more: &[(&str, &str)]) -> Value {
    let mut files = vec![("SKILL.md", "# Skill\n"), ("scripts/index.mjs", script)];
    files.extend(more);
    files.sort_unstable();
    let parts = files.iter().map(|(path, c)| format!("{path}\n{}\n{c}", sha256(c.as_bytes())));
    let bundle = sha256(parts.collect::<Vec<_>>().join("\n---\n").as_bytes());
    let marker = json!({"slug": slug, "version": "1.0.0", "sha256": bundle.as_str(), "managedBy": "agent-factory",
        "entryPoint": "default", "moduleFormat": "esm"});
    let mut files: Vec<_> = files.into_iter().map(|(path, content)| file(path, content)).collect();
    files.push(file(MARKER, &marker.to_string()));
    json!({"slug": slug, "version": "1.0.0", "moduleFormat": "esm", "entryPoint": "default", "sha256": bundle.as_str(),
        "skillDirName": slug, "files": files})
}

fn manifest(tag: &'static str, skills: Vec<Value>) -> Answer {
    let manifest = json!({"layoutVersion": "openclaw-workspace-skill-v1", "manifestVersion": tag, "generatedAt": 1,
        "releaseChannel": "stable", "workspaceId": "default", "skills": skills});
    Answer::Tagged(200, tag, manifest)
}

/// Runs a worker on this volume until the fake tells it to stop.
async fn work(fake: &Fake, volume: &Path, changes: &[(&str, &str)]) -> Result<Exit, AgentError> {
    let url = fake.serve().await;
    let own =
        [("SKILLS_BOOTSTRAP_MODE", "db_manifest"), ("AGENT_FACTORY_DATA_DIR", volume.to_str().unwrap())];
    run(config(&url, &[changes, &own].concat()), never()).await
}

/// Runs a worker to its end with this one manifest.
async fn once(volume: &Path, answer: Answer, changes: &[(&str, &str)]) {
    let fake = Fake::default();
    fake.script("skills", [answer]);
    assert_eq!(work(&fake, volume, changes).await.unwrap(), Exit::Stopped);
}

fn volume() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A worker that is started by hand with the environment of a machine.
#[tokio::test]
async fn without_the_required_volume_nothing_is_written() {
    let (own, elsewhere) = (volume(), volume());
    let mount = elsewhere.path().join("mount");
    let dir = mount.join("workspace/skills");
    let required = [
        ("OPENCLAW_REQUIRE_DATA_MOUNT", "true"),
        ("OPENCLAW_WORKSPACE_DIR", dir.parent().unwrap().to_str().unwrap()),
        ("OPENCLAW_SKILLS_DIR", dir.to_str().unwrap()),
    ];
    let answer = || manifest("m1", vec![skill("hello", "one", &[])]);
    once(own.path(), answer(), &required).await;
    assert!(!mount.exists());
    fs::create_dir(&mount).unwrap();
    once(own.path(), answer(), &required).await;
    assert!(dir.join("hello/SKILL.md").is_file());
}

/// A volume that a worker has used before, so that it may hold files.
fn used_volume() -> TempDir {
    let volume = volume();
    fs::write(volume.path().join(".agent-factory.json"), "{}").unwrap();
    volume
}

/// Everything below the skills folder, by path.
fn tree(volume: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let root = volume.join("skills");
    let mut left = vec![root.clone()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                left.push(path);
            } else {
                found.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn read(volume: &Path, path: &str) -> String {
    fs::read_to_string(volume.join("skills").join(path)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn skills_are_on_the_disk_before_the_first_poll() {
    let (fake, volume) = (Fake::default(), volume());
    fake.script("skills", [manifest("\"1\"", vec![skill("ab", "one", &[("data/x/y.txt", "ü")])])]);
    work(&fake, volume.path(), &[]).await.unwrap();
    assert_eq!(fake.names(), ["skills", "poll"]);
    assert_eq!(fake.calls()[0].path, "/v1/worker/skills");
    let expected = ["ab/.af-global-skill.json", "ab/SKILL.md", "ab/data/x/y.txt", "ab/scripts/index.mjs"];
    assert_eq!(tree(volume.path()), expected);
    assert_eq!(read(volume.path(), "ab/data/x/y.txt"), "ü");
}

#[tokio::test(start_paused = true)]
async fn a_worker_with_skills_off_fetches_none() {
    let (fake, volume) = (Fake::default(), volume());
    work(&fake, volume.path(), &[("SKILLS_BOOTSTRAP_MODE", "off")]).await.unwrap();
    assert_eq!((fake.names(), tree(volume.path())), (vec!["poll".to_owned()], vec![]));
}

#[tokio::test(start_paused = true)]
async fn changes_are_fetched_between_polls_with_the_entity_tag_of_the_installed_manifest() {
    let (fake, volume) = (Fake::default(), volume());
    let unchanged = Answer::Tagged(304, "\"1\"", Value::Null);
    fake.script("skills", [manifest("\"1\"", vec![skill("ab", "one", &[])]), unchanged]);
    fake.script("skills", [manifest("\"2\"", vec![skill("ab", "two", &[])])]);
    // 1 s between polls: 11 minutes.
    fake.script("poll", (0..660).map(|_| nothing()));
    work(&fake, volume.path(), &[]).await.unwrap();
    let asked: Vec<_> = fake.calls().into_iter().filter(|c| c.name == "skills").map(|c| c.known).collect();
    assert_eq!(asked, [None, Some("\"1\"".to_owned()), Some("\"1\"".to_owned())]);
    assert_eq!(read(volume.path(), "ab/scripts/index.mjs"), "two");
}

#[tokio::test(start_paused = true)]
async fn a_changed_skill_is_replaced_completely_and_a_skill_that_left_the_manifest_is_removed() {
    let volume = volume();
    let (first, other) = (skill("ab", "one", &[("old.txt", "old")]), skill("cd", "one", &[]));
    once(volume.path(), manifest("\"1\"", vec![first, other]), &[]).await;
    fs::write(volume.path().join("skills/cd/cache.txt"), "kept by the skill").unwrap();
    let (second, same) = (skill("ab", "two", &[]), skill("cd", "one", &[]));
    once(volume.path(), manifest("\"2\"", vec![second, same.clone()]), &[]).await;
    assert_eq!(read(volume.path(), "ab/scripts/index.mjs"), "two");
    assert!(!tree(volume.path()).contains(&"ab/old.txt".to_owned()), "no file of the old version is left");
    assert_eq!(read(volume.path(), "cd/cache.txt"), "kept by the skill", "an unchanged skill is not touched");
    fs::write(volume.path().join("skills/cd/SKILL.md"), "changed by hand").unwrap();
    once(volume.path(), manifest("\"2\"", vec![same]), &[]).await;
    let cd = ["cd/.af-global-skill.json", "cd/SKILL.md", "cd/scripts/index.mjs"];
    assert_eq!(tree(volume.path()), cd, "cd is restored, and ab is removed");
    assert_eq!(read(volume.path(), "cd/SKILL.md"), "# Skill\n");
}

#[tokio::test(start_paused = true)]
async fn folders_without_this_deployments_marker_are_not_touched() {
    let (volume, elsewhere) = (used_volume(), volume());
    let skills = volume.path().join("skills");
    fs::create_dir_all(skills.join("own")).unwrap();
    fs::create_dir_all(skills.join("ab")).unwrap();
    fs::create_dir_all(skills.join("copied")).unwrap();
    fs::write(skills.join("own/SKILL.md"), "mine").unwrap();
    fs::write(skills.join("ab/SKILL.md"), "mine").unwrap();
    // A marker that was copied from another skill does not count.
    let ours = skill("cd", "one", &[]);
    fs::write(skills.join("copied").join(MARKER), ours["files"][2]["content"].as_str().unwrap()).unwrap();
    symlink(elsewhere.path(), skills.join("cd")).unwrap();
    fs::write(elsewhere.path().join(MARKER), ours["files"][2]["content"].as_str().unwrap()).unwrap();
    let answer = manifest("\"1\"", vec![skill("ab", "one", &[]), ours, skill("ef", "one", &[])]);
    once(volume.path(), answer, &[]).await;
    let expected = [
        "ab/SKILL.md",
        "cd",
        "copied/.af-global-skill.json",
        "ef/.af-global-skill.json",
        "ef/SKILL.md",
        "ef/scripts/index.mjs",
        "own/SKILL.md",
    ];
    assert_eq!(tree(volume.path()), expected);
    assert_eq!(read(volume.path(), "ab/SKILL.md"), "mine");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1, "a link is not followed");
}

#[tokio::test(start_paused = true)]
async fn links_inside_a_skill_are_not_followed() {
    let (volume, elsewhere) = (volume(), volume());
    once(volume.path(), manifest("\"1\"", vec![skill("ab", "one", &[])]), &[]).await;
    let scripts = volume.path().join("skills/ab/scripts");
    fs::rename(&scripts, elsewhere.path().join("scripts")).unwrap();
    symlink(elsewhere.path().join("scripts"), &scripts).unwrap();
    once(volume.path(), manifest("\"1\"", vec![skill("ab", "two", &[])]), &[]).await;
    assert!(!scripts.is_symlink());
    assert_eq!(read(volume.path(), "ab/scripts/index.mjs"), "two");
    assert_eq!(fs::read_to_string(elsewhere.path().join("scripts/index.mjs")).unwrap(), "one");
    once(volume.path(), manifest("\"1\"", vec![]), &[]).await;
    assert_eq!(tree(volume.path()), [""; 0]);
    assert!(elsewhere.path().join("scripts/index.mjs").exists());
}

#[tokio::test(start_paused = true)]
async fn a_link_in_the_place_of_the_skills_folder_is_removed_and_not_followed() {
    let (volume, elsewhere) = (used_volume(), tempfile::tempdir().unwrap());
    fs::create_dir_all(elsewhere.path().join(".af-skills-staging/kept")).unwrap();
    symlink(elsewhere.path(), volume.path().join("skills")).unwrap();
    once(volume.path(), manifest("\"1\"", vec![skill("ab", "one", &[])]), &[]).await;
    assert!(volume.path().join("skills/ab/SKILL.md").is_file());
    assert!(!volume.path().join("skills").is_symlink());
    let outside: Vec<_> = fs::read_dir(elsewhere.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(outside, [".af-skills-staging"], "nothing was written or removed through the link");
}

#[tokio::test(start_paused = true)]
async fn unmanaged_skills_are_removed_only_on_request_and_skills_of_the_image_never() {
    let (volume, image) = (used_volume(), volume());
    let skills = volume.path().join("skills");
    for name in ["own", "bundled", "notes"] {
        fs::create_dir_all(skills.join(name)).unwrap();
    }
    fs::write(skills.join("own/SKILL.md"), "").unwrap();
    fs::write(skills.join("bundled/SKILL.md"), "").unwrap();
    fs::write(skills.join("notes/a.txt"), "").unwrap();
    fs::create_dir(image.path().join("bundled")).unwrap();
    let bundled = ("OPENCLAW_BUNDLED_SKILLS_DIR", image.path().to_str().unwrap());
    once(volume.path(), manifest("\"1\"", vec![]), &[bundled]).await;
    assert_eq!(tree(volume.path()), ["bundled/SKILL.md", "notes/a.txt", "own/SKILL.md"]);
    once(volume.path(), manifest("\"1\"", vec![]), &[bundled, ("SKILLS_REMOVE_UNMANAGED", "true")]).await;
    assert_eq!(tree(volume.path()), ["bundled/SKILL.md", "notes/a.txt"]);
}

#[tokio::test(start_paused = true)]
async fn a_hostile_manifest_is_refused_completely() {
    let good = skill("ab", "one", &[]);
    let changed = |change: fn(&mut Value)| {
        let mut skill = skill("cd", "one", &[]);
        change(&mut skill);
        skill
    };
    let mut tests: Vec<Value> = ["../../x", "/etc/x", "a/../../x", "a\\..\\x", "x\0y", "scripts", "skill.md"]
        .into_iter()
        .map(|path| skill("cd", "one", &[(path, "evil")]))
        .collect();
    tests.extend([
        changed(|s| s["skillDirName"] = json!("../cd")),
        changed(|s| s["skillDirName"] = json!("ab")),
        changed(|s| s["sha256"] = json!(sha256(b"other").as_str())),
        changed(|s| s["files"][1]["content"] = json!("evil")),
        changed(|s| s["files"][2]["content"] = json!("{}")),
        changed(|s| s["files"][2]["path"] = json!("../.af-global-skill.json")),
        changed(|s| drop(s["files"].as_array_mut().unwrap().pop())),
        changed(|s| s["moduleFormat"] = json!("wasm")),
        good.clone(),
    ]);
    for bad in tests {
        let volume = volume();
        once(volume.path(), manifest("\"1\"", vec![skill("ab", "old", &[])]), &[]).await;
        let before = tree(volume.path());
        once(volume.path(), manifest("\"2\"", vec![good.clone(), bad.clone()]), &[]).await;
        assert_eq!(tree(volume.path()), before, "{bad}");
        assert_eq!(read(volume.path(), "ab/scripts/index.mjs"), "old", "{bad}");
        let fake = Fake::default();
        fake.script("skills", [manifest("\"2\"", vec![good.clone(), bad.clone()])]);
        let end = work(&fake, volume.path(), &[("SKILLS_BOOTSTRAP_REQUIRED", "true")]).await;
        assert!(matches!(end, Err(AgentError::Skills(_))), "{bad}: {end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_of_another_channel_or_layout_is_refused() {
    for (field, value) in [("releaseChannel", "canary"), ("layoutVersion", "v2")] {
        let volume = volume();
        let Answer::Tagged(status, tag, mut body) = manifest("\"1\"", vec![skill("ab", "one", &[])]) else {
            unreachable!()
        };
        body[field] = json!(value);
        once(volume.path(), Answer::Tagged(status, tag, body), &[]).await;
        assert_eq!(tree(volume.path()), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn fetching_skills_is_retried_until_the_timeout() {
    let (fake, volume) = (Fake::default(), volume());
    fake.script("skills", [problem(503, "unavailable"), Answer::Lost]);
    fake.script("skills", [manifest("\"1\"", vec![skill("ab", "one", &[])])]);
    work(&fake, volume.path(), &[("SKILLS_BOOTSTRAP_REQUIRED", "true")]).await.unwrap();
    assert_eq!((fake.count("skills"), tree(volume.path()).len()), (3, 3));
    for (required, ends_well) in [("true", false), ("false", true)] {
        let fake = Fake::default();
        fake.script("skills", (0..200).map(|_| problem(503, "unavailable")));
        let changes = [("SKILLS_BOOTSTRAP_REQUIRED", required), ("SKILLS_BOOTSTRAP_TIMEOUT_MS", "3000")];
        let end = work(&fake, volume.path(), &changes).await;
        assert_eq!(end.is_ok(), ends_well, "{end:?}");
        assert_eq!(fake.count("poll"), usize::from(ends_well));
    }
    assert_eq!(tree(volume.path()).len(), 3, "installed skills stay");
}

#[tokio::test(start_paused = true)]
async fn the_staging_folder_of_a_process_that_died_is_recovered() {
    let volume = volume();
    let skills = volume.path().join("skills");
    once(volume.path(), manifest("\"1\"", vec![skill("ab", "one", &[])]), &[]).await;
    // The process died while it wrote the new folder.
    fs::create_dir_all(skills.join(".af-skills-staging/ab")).unwrap();
    fs::write(skills.join(".af-skills-staging/ab/SKILL.md"), "half").unwrap();
    // The process died between the two steps, on a file system without an exchange of folders.
    fs::rename(skills.join("ab"), skills.join(".af-skills-staging/replaced-ab")).unwrap();
    once(volume.path(), ok(json!({"not": "a manifest"})), &[]).await;
    assert_eq!(tree(volume.path()).len(), 3, "the old folder is back, even after an unreadable answer");
    once(volume.path(), manifest("\"1\"", vec![skill("ab", "one", &[])]), &[]).await;
    let expected = ["ab/.af-global-skill.json", "ab/SKILL.md", "ab/scripts/index.mjs"];
    assert_eq!(tree(volume.path()), expected);
    assert_eq!(read(volume.path(), "ab/SKILL.md"), "# Skill\n");
}
