//! The command engine with real programs, so these tests run in real time.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Answer, Fake, PATIENCE, cancelled, config, held, job, never, nothing};
use af_agent::{Exit, run};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

/// Writes an executable script, with another process. If this process had the file open for writing while another test
/// thread forks, the script could not be executed for a moment ("text file busy").
pub fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("agent.sh");
    let mut writer = Command::new("/bin/sh")
        .args(["-c", r#"cat >"$1" && chmod 700 "$1""#, "sh"])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
    path
}

/// Runs a worker with this script as its engine until the fake stops it. Returns the parent of the folder in
/// which the script runs.
async fn work(fake: &Fake, text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let program = script(folder.path(), text);
    let url = fake.serve().await;
    let config = config(
        &url,
        &[
            ("AGENT_FACTORY_ENGINE", "command"),
            ("AGENT_FACTORY_COMMAND", program.to_str().unwrap()),
            ("AGENT_FACTORY_DATA_DIR", folder.path().join("data").to_str().unwrap()),
            ("OPENCLAW_SERVICE_ID", "own-service"),
        ],
    );
    let end = timeout(PATIENCE, run(config, never())).await.expect("the worker ends in time");
    assert_eq!(end.unwrap(), Exit::Stopped);
    folder
}

/// The same answer with a short heartbeat interval, because time is real here.
fn beating(answer: Answer) -> Answer {
    let Answer::Json(status, mut body) = answer else { unreachable!() };
    let place = if body["job"].is_object() { &mut body["job"] } else { &mut body };
    place["nextHeartbeatMs"] = json!(50);
    Answer::Json(status, body)
}

/// More heartbeat responses than any test needs.
fn held_for_long() -> impl Iterator<Item = Answer> {
    (0..1_000).map(|_| beating(held()))
}

fn fail_message(fake: &Fake) -> String {
    fake.bodies("fail")[0]["errorMessage"].as_str().unwrap().to_owned()
}

/// Waits until the process is gone or a zombie, which runs nothing.
async fn ended(pid: &str) {
    for _ in 0..500 {
        let stat = Command::new("ps").args(["-o", "stat=", "-p", pid]).output().unwrap();
        let state = String::from_utf8_lossy(&stat.stdout).trim().to_owned();
        if state.is_empty() || state.starts_with('Z') {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("process {pid} still runs");
}

#[tokio::test]
async fn a_program_reads_the_bundle_and_answers_on_stdout() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    let folder =
        work(&fake, "cat >../bundle.json; env >../env.txt; printf 'first line\\nsecond line\\n\\n'").await;
    assert_eq!(fake.bodies("complete")[0]["reply"]["text"], "first line\nsecond line");

    let bundle: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("bundle.json")).unwrap()).unwrap();
    assert_eq!((&bundle["messageId"], &bundle["payload"]["messageText"]), (&json!("m1"), &json!("hello")));
    assert_eq!(bundle["contextFingerprint"], "f", "the program gets the whole bundle");

    let env = std::fs::read_to_string(folder.path().join("env.txt")).unwrap();
    for expected in [
        "OPENCLAW_AGENT_BRIDGE_BASE_URL=http://bridge",
        "OPENCLAW_SERVICE_KEY=bridge-key",
        "AGENT_BRIDGE_SERVICE_ID=own-service",
        "APP_BASE_URL_MAP_JSON={}",
        &format!("AGENT_FACTORY_DATA_DIR={}", folder.path().join("data").display()),
    ] {
        assert!(env.lines().any(|line| line == expected), "{expected} is missing");
    }
}

#[tokio::test]
async fn lines_are_shown_as_progress_while_the_program_works() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), beating(job("m1", "hello"))]).script("heartbeat", held_for_long());
    // The program goes on only after its first line was seen by the server.
    let go = tempfile::tempdir().unwrap();
    let flag = go.path().join("go");
    let text = format!("echo thinking; until [ -e '{}' ]; do sleep 0.02; done; echo answer", flag.display());
    let seen = async {
        for count in 1.. {
            fake.called("heartbeat", count).await;
            if fake.bodies("heartbeat").iter().any(|beat| beat["progress"] == "thinking") {
                break;
            }
        }
        std::fs::write(&flag, "").unwrap();
    };
    tokio::join!(work(&fake, &text), seen);
    assert_eq!(fake.bodies("complete")[0]["reply"]["text"], "thinking\nanswer");
    let shown = fake.bodies("heartbeat").iter().filter(|beat| beat["progress"] == "thinking").count();
    assert_eq!(shown, 1, "a line is sent once");
}

#[tokio::test]
async fn an_exit_code_is_a_failure_whose_reason_is_the_last_lines_of_stderr() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    work(
        &fake,
        "echo half an answer; i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo \"line $i\" >&2; done; exit 3",
    )
    .await;
    let message = fail_message(&fake);
    assert!(message.contains("exit status: 3") && message.contains("line 30"), "{message}");
    assert!(!message.contains("line 20\n"), "{message}");
    assert_eq!((fake.count("complete"), &fake.bodies("fail")[0]["retryable"]), (0, &json!(true)));
}

#[tokio::test]
async fn a_cancelled_program_is_killed_with_its_process_group() {
    let fake = Fake::default();
    fake.script("poll", [nothing(), beating(job("m1", "hello"))]).script("heartbeat", held_for_long());
    let flag = tempfile::tempdir().unwrap();
    let pids = flag.path().join("pids");
    let text = format!("sleep 60 & echo \"$$ $!\" >'{0}.new'; mv '{0}.new' '{0}'; wait", pids.display());
    let cancel = async {
        // Cancels the message after the program has started.
        for count in 1.. {
            fake.called("heartbeat", count).await;
            if pids.exists() {
                break;
            }
        }
        fake.replace("heartbeat", [cancelled()]);
    };
    tokio::join!(work(&fake, &text), cancel);
    assert_eq!(fake.bodies("fail")[0]["errorMessage"], "cancelled");
    for pid in std::fs::read_to_string(&pids).unwrap().split_whitespace() {
        ended(pid).await;
    }
}

#[tokio::test]
async fn a_background_process_of_a_program_neither_delays_the_reply_nor_survives_it() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    let folder = work(&fake, "sleep 60 & echo $! >../left; echo done").await;
    assert_eq!(fake.bodies("complete")[0]["reply"]["text"], "done");
    ended(std::fs::read_to_string(folder.path().join("left")).unwrap().trim()).await;
}

#[tokio::test]
async fn a_reply_that_is_too_long_is_a_failure() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    work(&fake, "while :; do echo and so on and so on; done").await;
    assert!(fail_message(&fake).contains("longer than 65536 bytes"), "{}", fail_message(&fake));
}

#[tokio::test]
async fn a_program_without_output_completes_without_a_reply() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    work(&fake, "exit 0").await;
    let complete = &fake.bodies("complete")[0];
    assert_eq!((complete.get("reply"), complete["history"].as_array().unwrap().len()), (None, 1));
}

#[tokio::test]
async fn a_missing_program_fails_the_message() {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    let url = fake.serve().await;
    let changes = [("AGENT_FACTORY_ENGINE", "command"), ("AGENT_FACTORY_COMMAND", "/no/such/program")];
    timeout(PATIENCE, run(config(&url, &changes), never())).await.unwrap().unwrap();
    assert!(fail_message(&fake).contains("cannot be started"), "{}", fail_message(&fake));
}
