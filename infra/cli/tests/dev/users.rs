//! The commands for the users of an app: their agents, what happens in their conversations, and templates.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::Dev;

/// Far more than an event takes, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_user_is_watched_and_its_agents_and_figures_are_shown() {
    let dev = Dev::start(&[]).await;
    dev.printed(&["bindings", "bind", "ann", "demo"]);
    dev.printed(&["agents", "set", "helper"]);
    let made =
        dev.json(&["templates", "create", "Good morning", "--text", "Good morning!", "--tag", " Greeting"]);
    assert_eq!((&made["templateKey"], &made["tags"]), (&json!("good-morning"), &json!(["greeting"])));

    let path = "/v1/users/ann/agents/demo/messages";
    let in_years = json!({"content": "later", "scheduledFor": 2_000_000_000_000_u64});
    let (status, later) = dev.call("POST", path, Some(in_years)).await;
    assert_eq!(status, 202, "{later}");
    let mut watching = dev.command(&["--json", "watch", "ann", "demo"]);
    let mut watching = Watching::of(watching.stdout(Stdio::piped()).spawn().unwrap());
    let first = watching.next().await;
    assert_eq!((&first["messageId"], &first["status"]), (&later["messageId"], &json!("queued")));
    let (status, sent) = dev.call("POST", path, Some(json!({"templateId": "good-morning"}))).await;
    assert_eq!(status, 202, "{sent}");
    let id = sent["messageId"].as_str().unwrap();
    let ended = dev.get(&format!("/v1/users/ann/messages/{id}?waitMs=20000")).await;
    assert_eq!((&ended["status"], &ended["reply"]), (&json!("done"), &json!("echo: Good morning!")));
    let mut seen = watching.next().await;
    while seen["status"] != "done" {
        assert_eq!(seen["messageId"], id, "{seen}");
        seen = watching.next().await;
    }
    assert_eq!((&seen["messageId"], &seen["reply"]), (&json!(id), &json!("echo: Good morning!")));
    drop(watching);

    let (status, _) = dev
        .call("DELETE", &format!("/v1/users/ann/messages/{}", later["messageId"].as_str().unwrap()), None)
        .await;
    assert_eq!(status, 200);
    assert_eq!(dev.printed(&["watch", "ann", "demo", "--until-quiet"]), "", "nothing waits or runs");
    assert_eq!(dev.cli(&["watch", "bob", "demo"]).status.code(), Some(3), "not found");
    let usage = dev.json(&["users", "usage", "ann", "demo"]);
    assert_eq!((&usage["queuedMessages"], &usage["failedMessages"]), (&json!(0), &json!(0)));
    assert_eq!(usage["contextMessages"], 2, "what the user and the agent have said");
    let all = dev.json(&["users", "usage", "ann"]);
    assert_eq!(all["demo"], usage);
    let agents = dev.printed(&["users", "agents", "ann"]);
    assert!(agents.contains("demo") && agents.contains("active") && !agents.contains("helper"), "{agents}");
    let overview = dev.json(&["users", "overview", "ann"]);
    assert_eq!(
        (&overview["activeAgentKey"], &overview["canCreateNewAgent"]),
        (&json!("demo"), &json!(false))
    );
    let templates = dev.json(&["templates", "list"]);
    assert_eq!(templates["items"][0]["usageCount"], 1);
    dev.printed(&["templates", "update", "good-morning", "Good evening", "--text", "Good evening!"]);
    assert!(dev.printed(&["templates", "get", "good-morning"]).contains("Good evening!"));
    assert_eq!(
        dev.printed(&["templates", "delete", "good-morning", "--yes"]),
        "template good-morning is deleted\n"
    );
    assert_eq!(dev.cli(&["templates", "get", "good-morning"]).status.code(), Some(3));
}

/// A running `watch`, whose end leaves no process behind.
struct Watching {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Watching {
    fn of(mut child: Child) -> Self {
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// The next event.
    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.recv()).await.expect("an event comes");
        serde_json::from_str(&line.expect("the program goes on")).unwrap()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
