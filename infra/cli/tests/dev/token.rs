//! The worker's token and the program of the agent.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::Dev;

/// Looks for a token where a process can read about its parent and itself.
const PROGRAM: &str = r#"#!/bin/sh
cat > /dev/null
found=$(cat /proc/$PPID/environ /proc/$PPID/cmdline /proc/self/environ 2> /dev/null | tr '\0' '\n' | grep -c afw_)
worker=$(tr '\0' ' ' < /proc/$PPID/cmdline | grep -c 'worker --token-stdin')
if cat /proc/$PPID/environ > /dev/null 2>&1; then memory=readable; else memory=hidden; fi
echo "tokens $found, workers $worker, memory $memory"
"#;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_agents_program_cannot_take_the_workers_token() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("agent.sh");
    fs::write(&program, PROGRAM).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let dev = Dev::start(&["--agent-command", program.to_str().unwrap()]).await;
    let reply = dev.cli(&["chat", "demo", "look"]);
    // Root may read everything, and there the token is not in the environment either.
    let memory = if rustix::process::geteuid().is_root() { "readable" } else { "hidden" };
    let expected = format!("tokens 0, workers 1, memory {memory}\n");
    assert_eq!(String::from_utf8_lossy(&reply.stdout), expected, "{reply:?}");
}
