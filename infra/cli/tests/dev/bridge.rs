//! Bridge values from the command line to the program of the agent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::support::Dev;

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_program_finds_the_bridge_of_its_agent_in_its_environment() {
    let own = tempfile::tempdir().unwrap();
    let program = own.path().join("agent");
    fs::write(
        &program,
        "#!/bin/sh\necho \"$AGENT_BRIDGE_BASE_URL $OPENCLAW_SERVICE_ID $OPENCLAW_SERVICE_KEY $OPENCLAW_APP_KEY \
         ${CONVEX_URL-no token}\"\n",
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let dev = Dev::start(&["--agent-command", program.to_str().unwrap()]).await;
    let key = own.path().join("key");
    fs::write(&key, "s3cr3t").unwrap();
    stdout(&dev.cli(&["secrets", "set", "crm.key", "--file", key.to_str().unwrap()]));
    let set = [
        "agents",
        "set",
        "demo",
        "--bridge",
        "on",
        "--bridge-base-url",
        "https://crm.example",
        "--bridge-service-id",
        "crm",
        "--bridge-app-key",
        "app",
        "--bridge-service-key-ref",
        "crm.key",
    ];
    stdout(&dev.cli(&set));
    assert_eq!(stdout(&dev.cli(&["chat", "demo", "hello"])), "https://crm.example crm s3cr3t app no token\n");
    let alone = dev.cli(&["agents", "set", "demo", "--bridge-app-key", "app"]);
    assert_eq!(alone.status.code(), Some(2), "the command does nothing without --bridge: {alone:?}");
}
