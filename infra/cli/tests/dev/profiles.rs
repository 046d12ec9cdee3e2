//! `login` and the profiles that it stores.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{Dev, PROGRAM};

/// Runs the program with a home of its own, away from every data folder.
fn run(home: &Path, args: &[&str], input: &str) -> Output {
    let file = home.join("input");
    std::fs::write(&file, input).unwrap();
    let mut command = Command::new(PROGRAM);
    command.current_dir(home).env("XDG_CONFIG_HOME", home.join("config")).args(args);
    command.stdin(Stdio::from(std::fs::File::open(file).unwrap())).output().unwrap()
}

#[tokio::test]
async fn a_profile_keeps_a_key_that_the_deployment_accepts_for_its_owner_only() {
    let dev = Dev::start(&["--no-workers"]).await;
    let (home, key) = (tempfile::tempdir().unwrap(), dev.file["adminKey"].as_str().unwrap());
    let home = home.path();
    let none = run(home, &["agents", "list"], "");
    assert!(String::from_utf8_lossy(&none.stderr).contains("agent-factory login"), "{none:?}");

    let wrong = run(home, &["login", "prod", dev.url()], "afk_wrong_key");
    assert_eq!(wrong.status.code(), Some(4), "{wrong:?}");
    let stored = home.join("config/agent-factory/profiles.json");
    assert!(!stored.exists(), "a key that is refused is not stored");

    let login = run(home, &["login", "prod", &format!("{}/", dev.url())], &format!("{key}\n"));
    assert!(login.status.success(), "{login:?}");
    assert_eq!(stored.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let agents = run(home, &["agents", "list"], "");
    assert!(String::from_utf8_lossy(&agents.stdout).contains("demo"), "{agents:?}");
    let status = run(home, &["--profile", "prod", "status"], "");
    assert!(String::from_utf8_lossy(&status.stdout).contains("(profile prod)"), "{status:?}");
    for args in [&["profiles", "list"][..], &["profiles", "list", "--json"], &["status", "--json"]] {
        let shown = run(home, args, "");
        assert!(shown.status.success(), "{shown:?}");
        assert!(!String::from_utf8_lossy(&shown.stdout).contains(key), "{args:?} shows the key");
    }

    assert_eq!(run(home, &["--profile", "staging", "status"], "").status.code(), Some(1));
    let both = run(home, &["--profile", "prod", "--url", dev.url(), "--key", "k", "status"], "");
    assert_eq!(both.status.code(), Some(2), "{both:?}");
    assert_eq!(run(home, &["profiles", "delete", "prod"], "").status.code(), Some(2), "without --yes");
    assert!(run(home, &["profiles", "delete", "prod", "--yes"], "").status.success());
    assert!(!std::fs::read_to_string(stored).unwrap().contains(key));
    assert!(!run(home, &["agents", "list"], "").status.success());
}

#[test]
fn completions_are_a_script_for_the_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Command::new(PROGRAM).args(["completions", shell]).output().unwrap();
        assert!(script.status.success() && script.stdout.len() > 1_000, "{shell}: {script:?}");
    }
}
