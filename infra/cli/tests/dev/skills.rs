//! Skills from a folder of an operator to the disk of a worker.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::support::Dev;

fn folder(at: &Path, script: &str) {
    fs::create_dir_all(at.join("scripts")).unwrap();
    fs::write(at.join("SKILL.md"), "---\nname: hello\ndescription: Greets.\n---\n# Hello\n").unwrap();
    fs::write(at.join("scripts/index.mjs"), script).unwrap();
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_deployed_skill_is_on_the_disk_of_the_next_worker() {
    let dev = Dev::start(&[]).await;
    let own = tempfile::tempdir().unwrap();
    let skill = own.path().join("hello");
    let path = skill.to_str().unwrap();
    folder(&skill, "one");
    assert!(
        stdout(&dev.cli(&["skills", "deploy", path, "--version", "1.0.0"]))
            .starts_with("hello 1.0.0 is active")
    );
    folder(&skill, "two");
    let changed = dev.cli(&["skills", "deploy", path, "--version", "1.0.0"]);
    assert_eq!(changed.status.code(), Some(1), "a version never changes: {changed:?}");
    stdout(&dev.cli(&["skills", "deploy", path, "--version", "1.1.0", "--display-name", "Hello"]));
    stdout(&dev.cli(&["skills", "deploy", path, "--version", "1.1.0", "--slug", "off"]));
    stdout(&dev.cli(&["skills", "disable", "off"]));
    stdout(&dev.cli(&["skills", "activate", "hello", "1.0.0", "--actor", "ann"]));
    let listed = stdout(&dev.cli(&["skills", "list"]));
    assert!(listed.contains("hello") && listed.contains("1.0.0") && listed.contains("disabled"), "{listed}");
    let shown = stdout(&dev.cli(&["skills", "show", "hello"]));
    assert!(shown.contains("active") && shown.contains("earlier"), "{shown}");
    assert_eq!(stdout(&dev.cli(&["chat", "demo", "hello"])), "echo: hello\n");
    let worker = dev.workers().await[0]["workerId"].as_str().unwrap().to_owned();
    let skills = dev.data().join("workers").join(worker).join("data/workspace/skills");
    assert_eq!(fs::read_to_string(skills.join("hello/scripts/index.mjs")).unwrap(), "one");
    assert!(skills.join("hello/.af-global-skill.json").exists() && !skills.join("off").exists());
    stdout(&dev.cli(&["skills", "delete", "hello", "--yes"]));
    assert_eq!(dev.cli(&["skills", "show", "hello"]).status.code(), Some(3), "not found");
    assert_eq!(fs::read_dir(&skills).unwrap().count(), 1, "the worker fetches the change later");
}
