//! The commands that connect a person with an agent on Telegram.

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Dev, eventually};

fn shown(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn as_json(output: &Output) -> Value {
    serde_json::from_str(&shown(output)).unwrap()
}

/// Adds a bot with the program; the token comes from standard input.
fn add_bot(dev: &Dev, token: &str) -> String {
    let mut command = dev.command(&["bots", "add", "helper"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    shown(&child.wait_with_output().unwrap())
}

#[tokio::test]
async fn a_person_is_paired_with_the_program_and_gets_an_answer() {
    let dev = Dev::start(&[]).await;
    shown(&dev.cli(&["agents", "set", "helper"]));
    let (_, bot) = dev.call("POST", "/_local/telegram/bots", Some(json!({"username": "helper_bot"}))).await;
    let (identity, token) = (bot["botIdentity"].as_str().unwrap(), bot["token"].as_str().unwrap());
    let added = add_bot(&dev, &format!("{token}\n"));
    assert_eq!(added, format!("agent helper has the bot @helper_bot ({identity})\n"));
    let early = dev.cli(&["pairing", "create", "ann", "helper"]);
    assert!(
        !early.status.success() && String::from_utf8_lossy(&early.stderr).contains("webhook"),
        "{early:?}"
    );
    let webhook = as_json(&dev.cli(&["--json", "bots", "webhook", "helper"]));
    assert_eq!(webhook["isReady"], true, "{webhook}");
    let bots = shown(&dev.cli(&["bots", "list"]));
    assert!(bots.contains("@helper_bot") && bots.contains(identity), "{bots}");

    let made = as_json(&dev.cli(&["--json", "pairing", "create", "ann", "helper", "--ttl", "1h"]));
    let code = made["pairing"]["code"].as_str().unwrap();
    assert_eq!(made["deepLink"], format!("https://t.me/helper_bot?start={code}"));
    let status = || shown(&dev.cli(&["pairing", "status", code]));
    assert!(status().contains("pending"));
    let sends = async |text: &str| {
        let message = json!({"botIdentity": identity, "chatId": "4242", "text": text});
        dev.call("POST", "/_local/telegram/messages", Some(message)).await.1
    };
    let answer = sends(&format!("/start {code}")).await;
    assert_eq!(answer["body"]["pairing"]["status"], "used", "{answer}");
    assert!(status().contains("used"));
    let connected = "You are connected with the agent. Send a message to begin.".to_owned();
    eventually("the notice", async || dev.outbox("4242").await.contains(&connected).then_some(())).await;
    sends("hello").await;
    eventually("the reply", async || {
        dev.outbox("4242").await.contains(&"echo: hello".to_owned()).then_some(())
    })
    .await;

    let bound = shown(&dev.cli(&["bindings", "get", "ann"]));
    let same = shown(&dev.cli(&["bindings", "get", "--bot", identity, "--telegram-user", "4242"]));
    assert!(bound.contains("user-agent:helper:ann") && bound == same, "{bound}");
    shown(&dev.cli(&["bindings", "bind", "ann", "demo"]));
    assert_eq!(shown(&dev.cli(&["bindings", "revoke", "ann"])), "the binding of user ann is revoked\n");
    let listed = as_json(&dev.cli(&["--json", "bindings", "list", "ann"]));
    let agents: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|b| (&b["agentKey"], &b["status"])).collect();
    let revoked = json!("revoked");
    assert_eq!(agents, [(&json!("demo"), &revoked), (&json!("helper"), &revoked)]);
    assert_eq!(dev.cli(&["bindings", "get", "ann"]).status.code(), Some(3), "not found");
}
