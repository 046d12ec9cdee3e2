//! Workspace documents from a folder of an operator to the disk of a worker, and back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::support::{Dev, eventually};

/// Prints its documents, and edits both of them.
const AGENT: &str = "#!/bin/sh\ncat >/dev/null\ncat workspace/SOUL.md workspace/MEMORY.md\n\
                     echo mean >workspace/SOUL.md\necho 'saw a message' >>workspace/MEMORY.md\n";

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn what_an_agent_remembers_survives_the_kill_of_its_worker_without_a_snapshot() {
    let own = tempfile::tempdir().unwrap();
    let agent = own.path().join("agent.sh");
    fs::write(&agent, AGENT).unwrap();
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
    let dev = Dev::start(&["--agent-command", agent.to_str().unwrap()]).await;

    let folder = own.path().join("documents");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("SOUL.md"), "kind\n").unwrap();
    fs::write(folder.join("MEMORY.md"), "seed\n").unwrap();
    let path = folder.to_str().unwrap();
    let refused = dev.cli(&["agents", "documents", "push", "demo", path]);
    assert_eq!(refused.status.code(), Some(2), "without a terminal it needs --yes: {refused:?}");
    let pushed = stdout(&dev.cli(&["agents", "documents", "push", "demo", path, "--yes"]));
    assert!(pushed.contains("+++ b/SOUL.md") && pushed.contains("+kind"), "{pushed}");
    assert!(pushed.ends_with("2 documents changed\n"), "{pushed}");

    let first = dev.send("talk", "hello").await;
    let first = dev.message_in(&first, "done").await;
    assert_eq!(first["reply"], "kind\nseed");
    assert!(first.to_string().contains("documentsPutBack"), "{first}");
    let old = dev.workers().await[0]["workerId"].as_str().unwrap().to_owned();
    kill_process(dev.pid_of(&old).unwrap(), Signal::KILL).unwrap();
    let second = dev.send("talk", "hello again").await;
    eventually("the answer of another worker", async || {
        dev.advance(Duration::from_secs(30)).await;
        (dev.message(&second).await["status"] == "done").then_some(())
    })
    .await;
    assert_eq!(dev.message(&second).await["reply"], "kind\nseed\nsaw a message");
    assert_ne!(dev.workers().await[0]["workerId"], old.as_str());
}

#[tokio::test]
async fn a_folder_is_pushed_pulled_and_restored() {
    let dev = Dev::start(&[]).await;
    let own = tempfile::tempdir().unwrap();
    let (folder, copy) = (own.path().join("a"), own.path().join("b"));
    fs::create_dir_all(folder.join("memory")).unwrap();
    fs::write(folder.join("SOUL.md"), "one\n").unwrap();
    fs::write(folder.join("memory/2026-01-31.md"), "a day\n").unwrap();
    let documents = |args: &[&str]| stdout(&dev.cli(&[&["agents", "documents"], args].concat()));
    documents(&["push", "demo", folder.to_str().unwrap(), "--yes"]);
    fs::write(folder.join("SOUL.md"), "two\n").unwrap();
    fs::remove_dir_all(folder.join("memory")).unwrap();
    let pushed = documents(&["push", "demo", folder.to_str().unwrap(), "--yes"]);
    assert!(pushed.contains("-one\n+two") && pushed.contains("+++ /dev/null"), "{pushed}");
    assert_eq!(documents(&["push", "demo", folder.to_str().unwrap()]), "0 documents changed\n");
    let listed = documents(&["list", "demo"]);
    assert!(listed.contains("SOUL.md") && !listed.contains("2026-01-31"), "{listed}");
    let history = documents(&["history", "demo", "SOUL.md"]);
    assert_eq!(history.lines().count(), 3, "{history}");
    assert_eq!(documents(&["show", "demo", "SOUL.md", "--version", "1"]), "one\n");
    documents(&["restore", "demo", "SOUL.md", "1"]);
    documents(&["pull", "demo", copy.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(copy.join("SOUL.md")).unwrap(), "one\n");
    let unknown = dev.cli(&["agents", "documents", "list", "unknown"]);
    assert_eq!(unknown.status.code(), Some(3), "not found: {unknown:?}");
    let users = own.path().join("user");
    fs::create_dir(&users).unwrap();
    fs::write(users.join("USER.md"), "ann\n").unwrap();
    documents(&["push", "demo", users.to_str().unwrap(), "--user", "ann", "--yes"]);
    assert_eq!(documents(&["show", "demo", "USER.md", "--user", "ann"]), "ann\n");
}
