//! Refused calls on every worker route of the template. A refusal writes nothing.

use af_domain::ids::WorkerId;
use af_domain::policy::Policies;
use af_domain::time::Millis;
use af_domain::worker::DrainReason;
use af_sam::gateway::RouteMethod;
use af_sam::template::EventDef;
use af_tests::calls::Answer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};

use crate::worker::{TestWorker, World};

/// The prefix of the native API. The compatible API has the token in the path, and has its own tests.
const NATIVE: &str = "/v1/worker/";
/// An invalid signature.
const FORGED: &str = "bm9ib2R5";
const SHA256: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The ids that a worker sends in its calls.
#[derive(Clone)]
struct Names {
    conversation: String,
    message: String,
    lease: String,
    fence: u64,
    snapshot: String,
    file: String,
}

impl Names {
    /// Ids of objects that do not exist.
    fn unknown(like: &Names) -> Self {
        let key = "abcdefghijklmnopqrstuvwx23";
        let ulid = "01KE3N4AZ0000000000000000A";
        Self {
            conversation: "unknown".into(),
            message: "unknown".into(),
            lease: format!("{key}.{}.1.1.1.00000000000000ff", like.fence),
            fence: like.fence,
            snapshot: format!("{key}.1.{ulid}"),
            file: format!("{key}.{ulid}"),
        }
    }
}

/// The routes of the native API in the template.
fn routes(world: &World) -> Vec<(Method, String)> {
    let function = world.bundle.template.functions.iter().find(|f| f.binary == "worker").unwrap();
    let routes = function.events.iter().filter_map(|event| match event {
        EventDef::HttpApi { method: RouteMethod::One(method), path } => Some((method.clone(), path.clone())),
        _ => None,
    });
    let (native, others): (Vec<_>, Vec<_>) = routes.partition(|(_, path)| path.starts_with(NATIVE));
    assert!(others.iter().all(|(_, path)| path.starts_with("/w/") || path.starts_with("/f/")), "{others:?}");
    assert!(native.len() >= 16, "the template has too few native routes");
    native
}

/// A well-formed call of a route with these ids.
async fn call(
    world: &World,
    token: Option<&str>,
    (method, route): &(Method, String),
    names: &Names,
) -> Answer {
    let lease = json!({"leaseId": names.lease, "fence": names.fence});
    let with = |more: Value| {
        let mut body = lease.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Some(body)
    };
    let conversation = json!({"conversationId": names.conversation});
    let (query, body) = match route.strip_prefix(NATIVE).unwrap() {
        "poll" | "claim" => ("", Some(conversation)),
        "control" | "snapshots/latest" => ("?conversationId=", None),
        "messages/{messageId}/bundle" | "media/{storageId}" | "skills" => ("", None),
        "messages/{messageId}/heartbeat" | "messages/{messageId}/complete" => ("", with(json!({}))),
        "messages/{messageId}/fail" => ("", with(json!({"errorMessage": "no"}))),
        "messages/{messageId}/metadata" => ("", with(json!({"metadata": {"a": "b"}}))),
        "conversations/{conversationId}/history" => {
            ("", with(json!({"ordinal": 0, "messages": [{"role": "user", "content": "hi"}]})))
        }
        "snapshots" => {
            let body = json!({"conversationId": names.conversation, "reason": "manual", "sizeBytes": 1, "sha256": SHA256});
            ("", Some(body))
        }
        "snapshots/{snapshotId}/finalize" => ("", Some(json!({}))),
        "snapshots/{snapshotId}/fail" | "snapshots/{snapshotId}/skip" => ("", Some(json!({"error": "no"}))),
        "documents" if *method == Method::GET => ("?path=USER.md&messageId=", None),
        "documents" => ("", with(json!({"documents": [{"path": "MEMORY.md", "content": "notes"}]}))),
        "media" => ("", Some(json!({"sizeBytes": 1, "sha256": SHA256}))),
        other => panic!("the route {other} needs a line here"),
    };
    let mut path = route
        .replace("{messageId}", &names.message)
        .replace("{conversationId}", &names.conversation)
        .replace("{snapshotId}", &names.snapshot)
        .replace("{storageId}", &names.file);
    if !query.is_empty() {
        let id = if query.ends_with("messageId=") { &names.message } else { &names.conversation };
        path = format!("{path}{query}{id}");
    }
    let call = world.api.call(method.clone(), &path);
    let call = match token {
        Some(token) => call.key(token),
        None => call.anonymous(),
    };
    match body {
        Some(body) => call.json(&body).send().await,
        None => call.send().await,
    }
}

/// A worker that runs a message and has announced a file and a snapshot before.
async fn busy<'a>(world: &'a World, id: &str, conversation: &str) -> (TestWorker<'a>, Names) {
    let (worker, first) = world.busy_worker(id, conversation).await;
    let file = worker.post("media", json!({"sizeBytes": 1, "sha256": SHA256})).await.body_of(201);
    worker.complete(&first, json!({})).await.body_of(200);
    let body = json!({"conversationId": conversation, "reason": "manual", "sizeBytes": 1, "sha256": SHA256});
    let snapshot = worker.post("snapshots", body).await.body_of(201);
    world.enqueue(conversation).await;
    let job = worker.claim(json!({})).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let names = Names {
        conversation: conversation.to_owned(),
        message: text(&job["messageId"]),
        lease: text(&job["leaseId"]),
        fence: job["fence"].as_u64().unwrap(),
        snapshot: text(&snapshot["snapshotId"]),
        file: text(&file["storageId"]),
    };
    (worker, names)
}

/// Checks that `call` writes nothing.
async fn without_writing<T>(world: &World, call: impl Future<Output = T>) -> T {
    let before = world.items().await;
    let answer = call.await;
    assert_eq!(world.items().await, before, "a refusal writes nothing");
    answer
}

/// Invalid tokens, each with its fault.
async fn invalid_tokens(world: &World, token: &str) -> Vec<(&'static str, Option<String>)> {
    let (claims, signature) = token.strip_prefix("afw_").unwrap().split_once('.').unwrap();
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let (_, rest) = text.split_once('|').unwrap();
    let under_another_key = URL_SAFE_NO_PAD.encode(format!("AAAAAAAA|{rest}"));
    vec![
        ("no token", None),
        ("garbage", Some("garbage".into())),
        ("half a token", Some("afw_".into())),
        ("no signature", Some(format!("afw_{claims}."))),
        ("a bad signature", Some(format!("afw_{claims}.{FORGED}"))),
        ("an unknown key id", Some(format!("afw_{under_another_key}.{signature}"))),
        ("the admin key", Some(world.bundle.admin_key())),
        ("a consumer app's key", Some(world.api.new_key(&["app"]).await)),
        ("a user's id", Some("user-agent:demo:ann".into())),
    ]
}

#[tokio::test]
async fn a_call_without_a_valid_token_is_unauthorized_on_every_route() {
    let world = World::new().await;
    let (worker, names) = busy(&world, "w", "talk").await;
    for (why, token) in invalid_tokens(&world, &worker.token).await {
        for route in routes(&world) {
            let answer = without_writing(&world, call(&world, token.as_deref(), &route, &names)).await;
            assert_eq!(answer.problem(), (401, "unauthorized"), "{route:?} with {why}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
}

#[tokio::test]
async fn a_call_without_a_valid_token_is_unauthorized_before_its_input_is_checked() {
    let world = World::new().await;
    for (method, route) in routes(&world) {
        let path = route.replace(['{', '}'], "%00") + "?colour=red";
        let answer = world.api.call(method, &path).key("garbage").text("{").send().await;
        assert_eq!(answer.problem(), (401, "unauthorized"), "{route}");
    }
}

#[tokio::test]
async fn an_expired_token_gets_a_stop_in_the_control_state_and_is_unauthorized_elsewhere() {
    let world = World::new().await;
    let (worker, names) = busy(&world, "w", "talk").await;
    world.advance(Millis::from_days(30));
    for route in routes(&world) {
        let answer = without_writing(&world, call(&world, Some(&worker.token), &route, &names)).await;
        if matches!(route.1.as_str(), "/v1/worker/poll" | "/v1/worker/control") {
            let control = &answer.body_of(200)["control"];
            assert_eq!(
                (&control["shouldStop"], &control["reasons"]),
                (&json!(true), &json!(["token_expired"]))
            );
        } else {
            assert_eq!(answer.problem(), (401, "unauthorized"), "{route:?}");
        }
    }
}

/// Checks the response of a route to a worker that sends an id of another worker.
fn assert_refused((method, route): &(Method, String), answer: &Answer) {
    match route.strip_prefix(NATIVE).unwrap() {
        // The response has only the worker's own control state.
        "poll" | "claim" | "control" => assert!(answer.body["job"].is_null(), "{route}: {}", answer.body),
        "messages/{messageId}/heartbeat" => assert_eq!(answer.body["held"], false, "{}", answer.body),
        // These calls send no id.
        "skills" | "media" => {}
        "messages/{messageId}/bundle" | "media/{storageId}" => {
            assert_eq!(answer.problem(), (404, "not_found"))
        }
        "documents" if *method == Method::GET => assert_eq!(answer.problem(), (404, "not_found")),
        route if route.starts_with("snapshots") => {
            assert_eq!(answer.problem(), (404, "not_found"), "{route}")
        }
        route => assert_eq!(answer.problem(), (409, "stale_lease"), "{route}"),
    }
}

#[tokio::test]
async fn an_object_of_another_worker_gets_the_same_response_as_an_unknown_id() {
    let world = World::new().await;
    let (worker, own) = busy(&world, "w", "talk").await;
    let (_, foreign) = busy(&world, "other", "another").await;
    let own_lease = |names: Names| Names { lease: own.lease.clone(), fence: own.fence, ..names };
    let unknown = Names::unknown(&own);
    let kinds = [(foreign.clone(), unknown.clone()), (own_lease(foreign), own_lease(unknown))];
    for route in routes(&world) {
        if matches!(route.1.as_str(), "/v1/worker/poll" | "/v1/worker/media" | "/v1/worker/skills") {
            continue; // A poll with a foreign conversation id claims a message of its own; the other two send no id.
        }
        // To send documents needs no id but the lease.
        let sends_documents = route == (Method::PUT, "/v1/worker/documents".to_owned());
        let kinds = if sends_documents { &kinds[..1] } else { &kinds[..] };
        for (foreign, unknown) in kinds {
            let token = Some(worker.token.as_str());
            let answer = without_writing(&world, call(&world, token, &route, foreign)).await;
            assert_refused(&route, &answer);
            let nothing = without_writing(&world, call(&world, token, &route, unknown)).await;
            let shape = |answer: &Answer| match answer.body.get("code") {
                Some(code) => (answer.status, code.clone()),
                None => (answer.status, answer.body.clone()),
            };
            assert_eq!(shape(&answer), shape(&nothing), "{route:?} shows that the object exists");
        }
    }
}

#[tokio::test]
async fn a_stopped_worker_is_refused_on_every_route() {
    let world = World::new().await;
    let (worker, names) = busy(&world, "w", "talk").await;
    let id = WorkerId::parse("w").unwrap();
    world.drain(&id, DrainReason::Operator).await;
    world.advance(Policies::default().scaling.drain_timeout);
    world.reconcile().await;
    let shown = world.api.get("/v1/workers/w").send().await.body_of(200);
    assert_eq!(shown["status"], "stopped");
    for route in routes(&world) {
        let answer = without_writing(&world, call(&world, Some(&worker.token), &route, &names)).await;
        match route.1.strip_prefix(NATIVE).unwrap() {
            "poll" | "control" => {
                let control = &answer.body_of(200)["control"];
                assert_eq!(
                    (&control["shouldStop"], &control["reasons"]),
                    (&json!(true), &json!(["unknown_worker"]))
                );
            }
            "skills" | "media" | "media/{storageId}" | "snapshots/{snapshotId}/fail" => {
                assert_eq!(answer.problem(), (401, "unauthorized"), "{route:?}");
            }
            "snapshots/{snapshotId}/finalize" => assert_eq!(answer.problem(), (409, "stale_snapshot")),
            _ => assert_refused(&route, &answer),
        }
    }
}
