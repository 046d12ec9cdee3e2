//! A bot that a person creates with a link, through the program and a real `dev`.

use serde_json::json;

use crate::support::{Dev, eventually};

/// Names the demo agent as the manager; the config comes from standard input.
fn name_manager(dev: &Dev) -> String {
    dev.printed_with(&["config", "ingress", "set"], r#"{"managerAgentKey": "demo"}"#)
}

#[tokio::test]
async fn a_person_creates_a_bot_with_the_link_of_the_program_and_gets_an_answer() {
    let dev = Dev::start(&[]).await;
    let mut outputs = vec![dev.printed(&["agents", "set", "helper"])];
    let early = dev.cli(&["bots", "managed", "helper", "--user", "ann"]);
    assert!(String::from_utf8_lossy(&early.stderr).contains("managerAgentKey"), "{early:?}");
    assert!(name_manager(&dev).contains("demo"));
    let link = dev.json(&["bots", "managed", "helper", "--user", "ann", "--name", "Ann"]);
    let tap = json!({"link": link["link"], "userId": 4242});
    let (_, tapped) = dev.call("POST", "/_local/telegram/managed-bots", Some(tap)).await;
    let identity = tapped["botIdentity"].as_str().unwrap_or_else(|| panic!("{tapped}"));
    let status = || dev.printed(&["bots", "managed", "helper", "--user", "ann", "--status"]);
    eventually("the connection", async || status().contains("connected").then_some(())).await;
    let sends = async |text: &str| {
        let message = json!({"botIdentity": identity, "chatId": "4242", "text": text});
        dev.call("POST", "/_local/telegram/messages", Some(message)).await.1
    };
    assert_eq!(sends("/start").await["body"]["known"], true);
    let arrives = async |text: &str| {
        let wanted = text.to_owned();
        eventually(text, async || dev.outbox("4242").await.contains(&wanted).then_some(())).await;
    };
    arrives("Hello! You are connected. Send a message to begin.").await;
    sends("hello").await;
    arrives("echo: hello").await;
    let bound = dev.json(&["bindings", "get", "ann"]);
    assert_eq!((&bound["source"], &bound["botIdentity"]), (&json!("managed_bot"), &json!(identity)));

    outputs.push(dev.printed(&["bots", "rotate", "helper"]));
    assert!(outputs[1].contains("has a new token"), "{outputs:?}");
    sends("again").await;
    arrives("echo: again").await;
    outputs.extend([status(), tapped.to_string(), link.to_string(), bound.to_string()]);
    let is_token = |text: &String| text.contains(&format!("{identity}:"));
    assert!(!outputs.iter().any(is_token), "an output contains a token: {outputs:?}");
}
