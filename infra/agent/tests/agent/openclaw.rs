//! The openclaw engine with a script in the place of OpenClaw. The script takes the port, and the test serves it, so these
//! tests run in real time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use af_agent::{Exit, run};
use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::command::script;
use crate::support::{Answer, Fake, MODEL_KEY, PATIENCE, config, job, never};

/// Announces its port in the folder `at`, and ends at SIGTERM.
fn gateway(at: &Path) -> String {
    let at = at.display();
    format!(
        r#"trap 'echo stopped > "{at}/end"; exit 0' TERM
echo "$2" > "{at}/port.new" && mv "{at}/port.new" "{at}/port"
while :; do sleep 0.05; done"#
    )
}

/// Serves the port of the script, once it has one: ready, with one answer for every message. Sends the requests with a
/// message to `asked`.
async fn serve_gateway(port: PathBuf, asked: UnboundedSender<Value>) {
    let port = loop {
        match fs::read_to_string(&port) {
            Ok(port) => break port.trim().parse::<u16>().unwrap(),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let answer = move |Json(body): Json<Value>| {
        let asked = asked.clone();
        async move {
            if body["messages"] == json!([]) {
                return StatusCode::BAD_REQUEST.into_response();
            }
            asked.send(body).unwrap();
            let message = json!({"role": "assistant", "content": "from OpenClaw"});
            Json(json!({"choices": [{"message": message, "finish_reason": "stop"}]})).into_response()
        }
    };
    let app = axum::Router::new().route("/v1/chat/completions", post(answer));
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    axum::serve(listener, app).await.unwrap();
}

/// The same message in the conversation `c1` of an agent without a bridge. Bridge values are variables of the gateway, so
/// new ones start another.
fn in_one_conversation(answer: Answer) -> Answer {
    let Answer::Json(status, mut body) = answer else { unreachable!() };
    body["bundle"]["bridgeRuntimeConfig"] = Value::Null;
    for part in ["job", "bundle"] {
        body[part]["conversationId"] = json!("c1");
    }
    Answer::Json(status, body)
}

fn openclaw(url: &str, folder: &TempDir, gateway: &str, limit_ms: &str) -> af_agent::Config {
    let program = script(folder.path(), gateway);
    config(
        url,
        &[
            ("AGENT_FACTORY_ENGINE", "openclaw"),
            ("AGENT_FACTORY_DATA_DIR", folder.path().join("data").to_str().unwrap()),
            ("OPENCLAW_GATEWAY_COMMAND", program.to_str().unwrap()),
            ("OPENCLAW_GATEWAY_READY_TIMEOUT_MS", limit_ms),
            ("OPENCLAW_AGENT_MODEL", "openai/small-1"),
            ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1"),
            ("OPENAI_API_KEY", MODEL_KEY),
        ],
    )
}

#[tokio::test]
async fn one_gateway_answers_the_messages_of_a_conversation_and_is_stopped_before_the_snapshot() {
    let fake = Fake::default();
    fake.script(
        "poll",
        [("m1", "hello"), ("m2", "again")].map(|(id, text)| in_one_conversation(job(id, text))),
    );
    let folder = tempfile::tempdir().unwrap();
    let config = openclaw(&fake.serve().await, &folder, &gateway(folder.path()), "20000");
    let (asked, mut requests) = unbounded_channel();
    let server = tokio::spawn(serve_gateway(folder.path().join("port"), asked));
    let end = timeout(PATIENCE, run(config, never())).await.expect("the worker ends in time");
    assert_eq!(end.unwrap(), Exit::Stopped);
    server.abort();
    let texts: Vec<_> =
        fake.bodies("complete").into_iter().map(|body| body["reply"]["text"].clone()).collect();
    assert_eq!(texts, ["from OpenClaw", "from OpenClaw"]);
    let (first, second) = (requests.try_recv().unwrap(), requests.try_recv().unwrap());
    let message = |text: &str| json!([{"role": "user", "content": text}]);
    assert_eq!((&first["messages"], &second["messages"]), (&message("hello"), &message("again")));
    assert!(first["user"].is_string() && first["user"] == second["user"]);
    assert!(folder.path().join("end").exists() && fake.has_archive("c1"));
}

#[tokio::test]
async fn a_gateway_that_ends_fails_the_attempt_with_its_last_output() {
    let reason = failed("echo 'the port is taken' >&2; exit 3", "20000").await;
    assert!(reason.contains("ended before it was ready") && reason.contains("the port is taken"), "{reason}");
}

#[tokio::test]
async fn a_gateway_that_is_not_ready_in_time_fails_the_attempt_with_its_last_output() {
    let reason = failed("echo 'still loading'; while :; do sleep 0.05; done", "500").await;
    assert!(reason.contains("was not ready within") && reason.contains("still loading"), "{reason}");
}

#[tokio::test]
async fn a_gateway_gets_its_token_from_its_environment_and_the_configuration_has_no_secret() {
    let out = tempfile::tempdir().unwrap();
    let at = out.path().display();
    let script = format!(
        r#"echo "$OPENCLAW_GATEWAY_TOKEN" > "{at}/token"; cat "$OPENCLAW_CONFIG_PATH" > "{at}/config"; exit 1"#
    );
    failed(&script, "20000").await;
    let read = |name: &str| fs::read_to_string(out.path().join(name)).unwrap();
    let (token, written) = (read("token"), read("config"));
    assert_eq!(token.trim().len(), 48);
    assert!(!written.contains(token.trim()) && !written.contains(MODEL_KEY), "{written}");
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["agents"]["defaults"]["model"]["primary"], "openai/small-1");
    assert_eq!(written["gateway"]["http"]["endpoints"]["chatCompletions"]["enabled"], true);
}

/// Runs one message with this script, which must fail the attempt. Answers the reason.
async fn failed(gateway: &str, limit_ms: &str) -> String {
    let fake = Fake::default();
    fake.script("poll", [job("m1", "hello")]);
    let folder = tempfile::tempdir().unwrap();
    let config = openclaw(&fake.serve().await, &folder, gateway, limit_ms);
    let end = timeout(PATIENCE, run(config, never())).await.expect("the worker ends in time");
    assert_eq!(end.unwrap(), Exit::Stopped);
    fake.bodies("fail")[0]["errorMessage"].as_str().unwrap().to_owned()
}
