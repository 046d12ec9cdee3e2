//! The commands that connect a person with an agent on Telegram.

use serde_json::json;

use crate::support::{Dev, eventually};

/// Adds a bot with the program; the token comes from standard input.
fn add_bot(dev: &Dev, token: &str) -> String {
    dev.printed_with(&["bots", "add", "helper"], token)
}

#[tokio::test]
async fn a_person_is_paired_with_the_program_and_gets_an_answer() {
    let dev = Dev::start(&[]).await;
    dev.printed(&["agents", "set", "helper"]);
    let (_, bot) = dev.call("POST", "/_local/telegram/bots", Some(json!({"username": "helper_bot"}))).await;
    let (identity, token) = (bot["botIdentity"].as_str().unwrap(), bot["token"].as_str().unwrap());
    let added = add_bot(&dev, &format!("{token}\n"));
    assert_eq!(added, format!("agent helper has the bot @helper_bot ({identity})\n"));
    let early = dev.cli(&["pairing", "create", "ann", "helper"]);
    assert!(
        !early.status.success() && String::from_utf8_lossy(&early.stderr).contains("webhook"),
        "{early:?}"
    );
    let webhook = dev.json(&["bots", "webhook", "helper"]);
    assert_eq!(webhook["isReady"], true, "{webhook}");
    let bots = dev.printed(&["bots", "list"]);
    assert!(bots.contains("@helper_bot") && bots.contains(identity), "{bots}");

    let made = dev.json(&["pairing", "create", "ann", "helper", "--ttl", "1h"]);
    let code = made["pairing"]["code"].as_str().unwrap();
    assert_eq!(made["deepLink"], format!("https://t.me/helper_bot?start={code}"));
    let status = || dev.printed(&["pairing", "status", code]);
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

    let bound = dev.printed(&["bindings", "get", "ann"]);
    let same = dev.printed(&["bindings", "get", "--bot", identity, "--telegram-user", "4242"]);
    assert!(bound.contains("user-agent:helper:ann") && bound == same, "{bound}");
    dev.printed(&["bindings", "bind", "ann", "demo"]);
    assert_eq!(dev.printed(&["bindings", "revoke", "ann"]), "the binding of user ann is revoked\n");
    let listed = dev.json(&["bindings", "list", "ann"]);
    let agents: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|b| (&b["agentKey"], &b["status"])).collect();
    let revoked = json!("revoked");
    assert_eq!(agents, [(&json!("demo"), &revoked), (&json!("helper"), &revoked)]);
    assert_eq!(dev.cli(&["bindings", "get", "ann"]).status.code(), Some(3), "not found");
}
