//! An agent's files outlive its worker.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::{Dev, eventually};

/// Prints the content of the data folder, and writes a note there.
const AGENT: &str =
    "#!/bin/sh\ncat \"$AGENT_FACTORY_DATA_DIR/notes\" 2>/dev/null || echo nothing\necho remembered >>notes\n";

#[tokio::test]
async fn the_next_worker_restores_the_files_of_an_agent() {
    let folder = tempfile::tempdir().unwrap();
    let agent = folder.path().join("agent.sh");
    fs::write(&agent, AGENT).unwrap();
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o700)).unwrap();
    let dev = Dev::start(&["--agent-command", agent.to_str().unwrap()]).await;

    let first = dev.send("c", "hello").await;
    assert_eq!(dev.message_in(&first, "done").await["reply"], "nothing");
    let old = dev.workers().await[0]["workerId"].as_str().unwrap().to_owned();
    dev.advance(Duration::from_secs(30 * 60)).await;
    eventually("the end of the worker", async || {
        dev.advance(Duration::from_secs(15)).await;
        dev.workers().await.is_empty().then_some(())
    })
    .await;
    let stopped = dev.get(&format!("/v1/workers/{old}")).await;
    assert_eq!((&stopped["status"], &stopped["snapshotMissed"]), (&"stopped".into(), &false.into()));
    assert!(stopped["lastSnapshotId"].is_string(), "{stopped}");

    let second = dev.send("c", "hello again").await;
    assert_eq!(dev.message_in(&second, "done").await["reply"], "remembered");
    assert_ne!(dev.workers().await[0]["workerId"], old.as_str());
}
