//! The commands with which an operator looks at a deployment and mends it.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::Dev;

/// A bound on the rounds of `doctor`, above the number of its checks.
const MAX_ROUNDS: usize = 20;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The words of a command line that `doctor` prints, without the name of the program.
fn words(line: &str) -> Vec<String> {
    let words = shlex::split(line).unwrap();
    assert_eq!(words[0], "agent-factory", "{line}");
    words[1..].to_vec()
}

#[tokio::test]
async fn an_empty_deployment_answers_a_message_after_the_commands_of_doctor() {
    let dev = Dev::start(&["--no-demo"]).await;
    let mut ran = Vec::new();
    let next = loop {
        let output = dev.cli(&["--json", "doctor"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(!findings.is_empty())), "{report}");
        let Some(first) = findings.first() else { break report["next"].as_str().unwrap().to_owned() };
        assert!(ran.len() < MAX_ROUNDS, "{ran:?}");
        let fix = words(first["fix"].as_str().unwrap());
        dev.printed(&fix.iter().map(String::as_str).collect::<Vec<_>>());
        ran.push(fix.join(" "));
    };
    assert_eq!(ran, ["agents set support --display-name Support"]);
    let next = words(&next);
    assert_eq!(dev.printed(&next.iter().map(String::as_str).collect::<Vec<_>>()), "echo: hello\n");

    // What an agent lacks is found, too.
    dev.printed(&["agents", "set", "support", "--secret", "model.apiKey"]);
    let lacking = dev.cli(&["doctor"]);
    let shown = String::from_utf8_lossy(&lacking.stdout).into_owned();
    assert!(shown.contains("    agent-factory secrets set model.apiKey\n"), "{shown}");
    assert_eq!(
        (lacking.status.code(), stderr(&lacking)),
        (Some(1), "error: 1 problem is found\n".to_owned())
    );
    let status = dev.printed(&["status"]);
    assert!(status.contains("1; `agent-factory doctor` shows them"), "{status}");
    dev.printed_with(&["secrets", "set", "model.apiKey"], "value");
    dev.printed(&["doctor"]);
}

#[tokio::test]
async fn status_shows_the_deployment_and_logs_show_a_worker() {
    let dev = Dev::start(&[]).await;
    assert_eq!(dev.printed(&["chat", "demo", "hello"]), "echo: hello\n");
    let status = dev.printed(&["status"]);
    for shown in [dev.url(), "local, ready", "1 active", "0 dead letters", "none"] {
        assert!(status.contains(shown), "{shown} in {status}");
    }
    let status = dev.json(&["status"]);
    assert_eq!((&status["url"], &status["findings"]), (&dev.file["url"], &json!([])));
    assert_eq!(status["workers"], json!({"active": 1}));

    let worker = dev.workers().await[0]["workerId"].as_str().unwrap().to_owned();
    let written =
        std::fs::read_to_string(dev.data().join("workers").join(&worker).join("worker.log")).unwrap();
    let first = written.lines().next().expect("a worker logs its start");
    assert!(dev.printed(&["logs", &worker]).starts_with(first));
    assert_eq!(dev.cli(&["logs", "no-such-worker"]).status.code(), Some(3));
    let shown = dev.printed(&["workers", "show", &worker]);
    assert!(shown.contains("cli:demo:") && shown.contains("Z"), "{shown}");
}

#[tokio::test]
async fn any_route_can_be_called_and_the_exit_code_says_how_it_ended() {
    let dev = Dev::start(&["--no-workers"]).await;
    let key = r#"{"name": "shop", "scopes": ["app"]}"#;
    let made: Value =
        serde_json::from_str(&dev.printed_with(&["api", "POST", "/v1/keys", "--data", "-"], key)).unwrap();
    let app_key = made["key"].as_str().unwrap();
    let file = dev.data().join("body.json");
    std::fs::write(&file, r#"{"plaintextValue": "x"}"#).unwrap();
    let data = format!("@{}", file.display());
    dev.printed(&["api", "put", "/v1/secrets/model.apiKey", "--data", &data]);
    assert_eq!(dev.printed(&["api", "DELETE", "/v1/secrets/model.apiKey"]), "", "no content");

    let code = |args: &[&str]| dev.cli(args).status.code().unwrap();
    let ended = [
        (0, &["api", "GET", "/v1/agents?limit=1"][..]),
        (1, &["api", "PUT", "/v1/agents/a", "--data", "{}"]),
        (1, &["api", "GET", "/v1/agents", "--data", "{"]),
        (2, &["api", "GET", "v1/agents"]),
        (2, &["agents", "list", "--nonsense"]),
        (2, &["agents", "delete", "demo"]),
        (3, &["agents", "show", "unknown"]),
        (3, &["api", "GET", "/v1/agents/unknown"]),
    ];
    for (expected, args) in ended {
        assert_eq!(code(args), expected, "{args:?}");
    }
    for refused in ["afk_wrong", app_key] {
        let mut command = std::process::Command::new(crate::support::PROGRAM);
        command.env("AGENT_FACTORY_API_URL", dev.url()).env("AGENT_FACTORY_API_KEY", refused);
        let ended = command.args(["agents", "list"]).output().unwrap();
        assert_eq!(ended.status.code(), Some(4), "{ended:?}");
    }
    let refused = dev.cli(&["api", "PUT", "/v1/agents/a", "--data", r#"{"version": "1", "colour": 1}"#]);
    assert!(stderr(&refused).contains("colour"), "{refused:?}");
}

#[tokio::test]
async fn nothing_is_deleted_without_a_terminal_and_without_yes() {
    let dev = Dev::start(&["--no-workers"]).await;
    dev.printed_with(&["secrets", "set", "model.apiKey"], "value");
    for args in [&["agents", "delete", "demo"][..], &["secrets", "delete", "model.apiKey"]] {
        let ended = dev.cli(args);
        assert_eq!(ended.status.code(), Some(2), "{args:?}");
        assert!(stderr(&ended).contains("--yes"), "{ended:?}");
    }
    dev.printed(&["agents", "show", "demo"]);
    assert_eq!(dev.json(&["secrets", "status", "model.apiKey"])["items"][0]["hasActive"], true);
    dev.printed(&["--yes", "agents", "delete", "demo"]);
    assert_eq!(dev.cli(&["agents", "show", "demo"]).status.code(), Some(3));
}

/// Fails if a word is a time in epoch milliseconds.
fn assert_no_epoch_time(shown: &str) {
    let is_time = |word: &str| word.len() == 13 && word.bytes().all(|b| b.is_ascii_digit());
    assert!(!shown.split_whitespace().any(is_time), "{shown}");
}

#[tokio::test]
async fn json_of_every_list_is_the_answer_of_the_api() {
    let dev = Dev::start(&["--no-workers"]).await;
    let (user, agent) = ("demo-user", "demo");
    dev.printed(&["templates", "create", "Good morning", "--text", "Good morning!"]);
    dev.printed(&[
        "push",
        "templates",
        "create",
        "morning",
        "--title",
        "M",
        "--text",
        "T",
        "--time",
        "daily 09:30",
    ]);
    let job = dev.json(&["push", "jobs", "create", user, agent, "manual", "--title", "M", "--text", "T"]);
    let job = job["pushJobId"].as_str().unwrap();
    dev.printed(&["push", "jobs", "trigger", user, agent, job]);
    dev.printed(&["broadcast", "send", "--title", "News", "--text", "We have moved."]);
    dev.send("c", "hello").await;
    let of_job = format!("/v1/push-jobs/{job}/dispatches");
    let lists = [
        (&["agents", "list"][..], "/v1/agents", 1),
        (&["templates", "list"], "/v1/message-templates", 1),
        (&["push", "templates", "list"], "/v1/push-templates", 1),
        (
            &["push", "jobs", "list", "--user", user, "--agent", agent],
            "/v1/users/demo-user/agents/demo/push-jobs",
            1,
        ),
        (&["push", "dispatches", "--job", job], &of_job, 1),
        (&["broadcast", "list"], "/v1/broadcasts", 1),
        (&["bindings", "list", user], "/v1/users/demo-user/bindings", 1),
        (&["users", "agents", user], "/v1/users/demo-user/agents", 1),
        (&["bots", "list"], "/v1/agents", 1),
        (&["queue", "list", "--conversation", "c"], "/v1/queue/messages?conversationId=c", 1),
        (&["outbox", "list"], "/v1/outbox", 0),
        (&["skills", "list"], "/v1/skills", 0),
        (&["conversations", "snapshots", "c"], "/v1/conversations/c/snapshots", 0),
    ];
    for (args, path, count) in lists {
        let printed = dev.json(args);
        assert_eq!(printed, dev.get(path).await, "{args:?}");
        assert_eq!(printed["items"].as_array().unwrap().len(), count, "{args:?}: {printed}");
        assert_no_epoch_time(&dev.printed(args));
    }
    let id = dev.json(&["queue", "list", "--conversation", "c"])["items"][0]["messageId"]
        .as_str()
        .unwrap()
        .to_owned();
    for args in [&["queue", "show", &id][..], &["queue", "why", &id], &["conversations", "show", "c"]] {
        assert_no_epoch_time(&dev.printed(args));
    }
}
