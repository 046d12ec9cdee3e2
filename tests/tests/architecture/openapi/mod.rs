//! The OpenAPI document: generated from the functions' routes, committed, served, and in step with the template.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod document;
mod examples;
mod idempotency;
mod limits;
mod problems;
mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use af_sam::template::{EventDef, Template};
use af_tests::bundle::Bundle;
use af_tests::calls::Api;
use af_tests::workspace::{Workspace, root};
use http::Method;
use serde_json::{Value, json};
use syn::visit::{self, Visit};

use document::{document, object};

const DOCUMENT: &str = "docs/openapi.json";
/// With the value `1`, the test writes the document again.
const UPDATE: &str = "UPDATE_DOCS";
/// Routes of another protocol, routes of files with their own tokens, and pages.
const OTHERS: [&str; 3] = ["/w/", "/f/", "/console"];

fn generated() -> Value {
    let parts = [
        af_worker::openapi(),
        af_user_api::openapi(),
        af_stream::openapi(),
        af_admin_api::openapi(),
        af_webhook::openapi(),
    ];
    document(&parts.map(|part| serde_json::to_value(part).unwrap()))
}

/// Each operation with its method and path.
fn operations(document: &Value) -> impl Iterator<Item = (String, &String, &Value)> {
    let of = |(path, item)| object(item).map(move |(method, of)| (method.to_uppercase(), path, of));
    object(&document["paths"]).flat_map(of)
}

#[test]
fn the_committed_document_equals_the_generated_one() {
    let path = root().join(DOCUMENT);
    let text = serde_json::to_string_pretty(&generated()).unwrap() + "\n";
    if std::env::var(UPDATE).is_ok_and(|v| v == "1") {
        fs::write(&path, text).unwrap();
        return;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "{DOCUMENT} is out of date; run {UPDATE}=1 cargo test -p af-tests --test architecture"
    );
}

#[test]
fn every_route_of_the_template_is_in_the_document_and_the_reverse() {
    let yaml = fs::read_to_string(root().join("infra/template.yaml")).unwrap();
    let template = Template::parse(&yaml, &BTreeMap::new()).unwrap();
    let events = template.functions.iter().flat_map(|function| &function.events);
    let streamed = || af_stream::openapi().paths.paths.into_keys().map(|path| ("GET".to_owned(), path));
    let routes = events.flat_map(|event| match event {
        EventDef::HttpApi { method, path } => vec![(method.to_string(), path.replace("+}", "}"))],
        EventDef::FunctionUrl => streamed().collect(),
        _ => Vec::new(),
    });
    let declared: BTreeSet<_> =
        routes.filter(|(_, path)| !OTHERS.iter().any(|o| path.starts_with(o))).collect();
    let document = generated();
    let documented: BTreeSet<_> =
        operations(&document).map(|(method, path, _)| (method, path.clone())).collect();
    assert_eq!(
        documented.difference(&declared).collect::<Vec<_>>(),
        [] as [&(String, String); 0],
        "documented without a route"
    );
    assert_eq!(
        declared.difference(&documented).collect::<Vec<_>>(),
        [] as [&(String, String); 0],
        "a route without documentation"
    );
}

#[test]
fn every_operation_has_a_summary_and_its_responses() {
    let document = generated();
    let tags: BTreeSet<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|s| s.ends_with('.')), "{what} has no summary");
        assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{what} has no known tag");
        let id = operation["operationId"].as_str().unwrap();
        assert!(
            id.contains(char::is_uppercase),
            "{what} declares no operation_id: {id} is the name of its handler"
        );
        assert!(ids.insert(id), "{what}: another operation has the same id");
        assert!(operation["responses"]["500"].is_object(), "{what}");
        let good = object(&operation["responses"]).filter(|(status, _)| status.starts_with('2'));
        for (status, response) in good {
            if response["content"]["text/event-stream"].is_object() {
                continue;
            }
            let media = &response["content"]["application/json"];
            assert_eq!(media.is_null(), status == "204", "{what} answers {status} without a body");
            let is_free = media["schema"]["properties"].is_null() && media["schema"]["$ref"].is_null();
            assert!(media.is_null() || is_free || media["example"].is_object(), "{what} has no example");
        }
    }
}

/// What every call of a kind can get, whichever operation it calls.
#[test]
fn the_limit_of_failed_authentication_and_the_refusals_of_the_gateway_are_documented() {
    let document = generated();
    let response = |operation: &Value, status: &str| {
        let name = operation["responses"][status]["$ref"].as_str()?.rsplit_once('/')?.1;
        Some(document["components"]["responses"][name].clone())
    };
    let is_gateways = |response: Option<Value>| {
        let schema = &response.unwrap_or_default()["content"]["application/json"]["schema"];
        schema["$ref"] == "#/components/schemas/GatewayError"
    };
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        if operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty()) {
            let limited = response(operation, "429").unwrap_or_else(|| panic!("{what} has no 429"));
            let problem = &limited["content"]["application/problem+json"]["schema"]["allOf"][1];
            let codes = problem["properties"]["code"]["enum"].as_array().unwrap();
            assert!(codes.contains(&"rate_limited".into()), "{what}: {codes:?}");
            assert!(limited["headers"]["Retry-After"].is_object(), "{what}");
        }
        assert!(!path.contains('{') || is_gateways(response(operation, "404")), "{what} has no 404");
        let has_body = !operation["requestBody"].is_null();
        assert!(!has_body || is_gateways(response(operation, "413")), "{what} has no 413");
    }
}

#[test]
fn every_reference_has_a_schema_and_every_schema_is_referenced() {
    let document = generated();
    let mut referred = BTreeSet::new();
    let mut left = vec![&document];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(map) => {
                referred.extend(map.get("$ref").and_then(Value::as_str));
                left.extend(map.values());
            }
            Value::Array(list) => left.extend(list),
            _ => {}
        }
    }
    let kinds = ["schemas", "responses"].into_iter();
    let of = |kind| {
        object(&document["components"][kind]).map(move |(name, _)| format!("#/components/{kind}/{name}"))
    };
    let there: BTreeSet<_> = kinds.flat_map(of).collect();
    let there: BTreeSet<_> = there.iter().map(String::as_str).collect();
    assert_eq!(referred, there);
}

/// Within a function, a schema silently replaces another schema of the same name.
#[test]
fn no_two_wire_types_have_the_same_name_in_the_document() {
    #[derive(Default)]
    struct Types(Vec<String>);
    impl Visit<'_> for Types {
        fn visit_item_struct(&mut self, item: &syn::ItemStruct) {
            let attributes = |name: &str| -> Vec<String> {
                let of = item.attrs.iter().filter(|a| a.path().is_ident(name));
                of.filter_map(|a| Some(a.meta.require_list().ok()?.tokens.to_string())).collect()
            };
            if attributes("derive").iter().any(|derived| derived.contains("ToSchema")) {
                let other =
                    attributes("schema").iter().find_map(|s| Some(s.strip_prefix("as = ")?.to_owned()));
                self.0.push(other.unwrap_or_else(|| item.ident.to_string()));
            }
            visit::visit_item_struct(self, item);
        }
    }
    let workspace = Workspace::real();
    let mut types = Types::default();
    let sources = workspace.rust().filter(|f| f.path.contains("/src/") && f.text.contains("ToSchema"));
    sources.for_each(|file| types.visit_file(&syn::parse_file(&file.text).unwrap()));
    types.0.sort();
    assert!(types.0.len() > 20, "the rule finds too few wire types");
    let twice: Vec<_> = types.0.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}: name one of them with #[schema(as = …)]");
}

#[tokio::test]
async fn the_document_is_served_without_a_key() {
    let api = Api::of(&Bundle::fresh().await).await;
    let served = api.get("/openapi.json").anonymous().send().await;
    assert_eq!(served.headers["content-type"], "application/json");
    assert!(
        served.body_of(200) == generated(),
        "the served document differs: build again if the test has just written it"
    );
}

/// The documented scopes of an operation are those that may call it.
#[tokio::test]
async fn an_operation_can_be_called_with_its_documented_scopes_only() {
    let api = Api::of(&Bundle::fresh().await).await;
    let (read, app) = (api.new_key(&["read"]).await, api.new_key(&["app"]).await);
    let document = generated();
    for (method, path, operation) in operations(&document) {
        let scopes = operation["security"][0]["apiKey"].as_array();
        let Some(scopes) = scopes else { continue };
        let filled = path.replace(['{', '}'], "");
        let method: Method = method.parse().unwrap();
        for (scope, key) in [("read", &read), ("app", &app)] {
            let call = api.call(method.clone(), &filled).json(&json!({"unknown": 1})).key(key);
            let forbidden = call.send().await.status.as_u16() == 403;
            assert_eq!(!forbidden, scopes.contains(&scope.into()), "{method} {path} with {scope}");
        }
        let anonymous = api.call(method.clone(), &filled).anonymous().send().await;
        assert_eq!(anonymous.problem(), (401, "unauthorized"), "{method} {path}");
    }
}

/// Every place of the document where `wanted` holds, as JSON pointers.
fn places(value: &Value, wanted: &impl Fn(&Value) -> bool, at: &str, found: &mut Vec<String>) {
    if wanted(value) {
        found.push(at.to_owned());
    }
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    inner.into_iter().for_each(|(name, value)| places(value, wanted, &format!("{at}/{name}"), found));
}

#[test]
fn no_description_of_the_openapi_document_is_null_and_no_schema_lost_its_properties() {
    let document = generated();
    assert!(!document.to_string().contains(r#""properties":null"#), "a schema has `properties: null`");
    let mut found = Vec::new();
    places(
        &document,
        &|v| v.get("description").is_some_and(|d| !d.is_string() && !d.is_object()),
        "",
        &mut found,
    );
    assert!(found.is_empty(), "{found:?}");
    for (method, path, operation) in operations(&document) {
        let is_null = |name: &&String| operation[name.as_str()].is_null();
        let nulls: Vec<_> = object(operation).map(|(name, _)| name).filter(is_null).collect();
        assert!(nulls.is_empty(), "{method} {path}: {nulls:?}");
    }
    let only =
        &document["components"]["responses"]["Unauthorized"]["content"]["application/problem+json"]["schema"];
    assert_eq!(only["allOf"][1]["properties"]["code"]["enum"], json!(["unauthorized"]));
    assert!(
        document["components"]["schemas"]["ListWorkersAnswer"]["allOf"][1]["properties"]["lastReconcile"]
            .is_object()
    );
}

#[test]
fn every_string_and_number_of_a_request_has_its_limits_in_the_schema() {
    let document = generated();
    let (mut missing, mut wanted) = (Vec::new(), Vec::new());
    for (method, path, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let alone = json!({"properties": {(parameter["name"].as_str().unwrap()): parameter["schema"]}});
            missing.extend(
                limits::without_limit(&alone).into_iter().map(|name| format!("{method} {path} {name}")),
            );
        }
        limits::references(&operation["requestBody"], &mut wanted);
    }
    let mut done = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if done.insert(name.clone()) {
            let schema = &document["components"]["schemas"][&name];
            missing.extend(limits::without_limit(schema).into_iter().map(|field| format!("{name}.{field}")));
            limits::references(schema, &mut wanted);
        }
    }
    assert!(done.len() > 20, "the rule finds too few requests");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The limits of ids in the document are those of their types.
#[test]
fn an_id_has_the_limits_of_its_schema() {
    use af_domain::ids::{
        AgentKey, BotIdentity, ConsumerUserId, ConversationId, MessageId, PushTemplateId, PushTemplateKey,
        SecretRef, TemplateKey, VolumeId, WorkerId,
    };
    type Parses = fn(&str) -> bool;
    let ids: [(&str, Parses); 11] = [
        ("agentKey", |t| AgentKey::parse(t).is_ok()),
        ("botIdentity", |t| BotIdentity::parse(t).is_ok()),
        ("consumerUserId", |t| ConsumerUserId::parse(t).is_ok()),
        ("conversationId", |t| ConversationId::parse(t).is_ok()),
        ("messageId", |t| MessageId::parse(t).is_ok()),
        ("templateId", |t| TemplateKey::parse(t).is_ok()),
        ("templateKey", |t| TemplateKey::parse(t).is_ok()),
        ("templateKey", |t| PushTemplateKey::parse(t).is_ok()),
        ("secretRef", |t| SecretRef::parse(t).is_ok()),
        ("volumeId", |t| VolumeId::parse(t).is_ok()),
        ("workerId", |t| WorkerId::parse(t).is_ok()),
    ];
    for (name, parses) in ids {
        let longest = limits::longest(name).unwrap();
        assert!(parses(&longest) && !parses(&(longest + "1")) && !parses(""), "{name}");
    }
    // The id of a push template has two parts with the limit of an id.
    let of = |company: usize, key: usize| format!("{}:{}", "1".repeat(company), "1".repeat(key));
    let parses = |company, key| PushTemplateId::parse(of(company, key)).is_ok();
    assert_eq!(limits::longest_text("sourceTemplateId"), Some(of(64, 64).len()));
    assert!(parses(64, 64) && !parses(65, 64) && !parses(64, 65) && !parses(0, 64) && !parses(64, 0));
}

/// An operation with the examples of its parameters and its body.
fn example_call(api: &Api, method: &str, path: &str, operation: &Value) -> af_tests::calls::Call {
    let parameters = || operation["parameters"].as_array().into_iter().flatten();
    let path = parameters().filter(|p| p["in"] == "path").fold(path.to_owned(), |path, parameter| {
        let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
        path.replace(&name, parameter["example"].as_str().unwrap())
    });
    let chosen = parameters()
        .filter(|p| p["in"] == "query")
        .filter_map(|p| Some((p, p["schema"]["enum"][0].as_str()?)));
    let query: Vec<_> = chosen.map(|(p, value)| format!("{}={value}", p["name"].as_str().unwrap())).collect();
    let call = api.call(method.parse().unwrap(), &format!("{path}?{}", query.join("&")));
    match operation.pointer("/requestBody/content/application~1json/example") {
        Some(example) => call.json(example),
        None => call,
    }
}

/// An example may miss the state that it needs, such as an agent or a lease, but it has the right form.
#[tokio::test]
async fn every_example_of_the_openapi_document_is_accepted_by_its_operation() {
    let bundle = Bundle::fresh().await;
    let api = Api::of(&bundle).await;
    api.put("/v1/agents/support", json!({"version": "1"})).send().await.body_of(200);
    let worker = api.post("/v1/workers", json!({"workerId": "example"})).send().await.body_of(201);
    let document = generated();
    let (mut bodies, mut faults) = (0, Vec::new());
    for (method, path, operation) in operations(&document) {
        let call = match &operation["security"][0] {
            scheme if !scheme["workerToken"].is_null() => {
                example_call(&api, &method, path, operation).key(worker["token"].as_str().unwrap())
            }
            scheme if !scheme["webhookSecret"].is_null() => continue,
            _ => example_call(&api, &method, path, operation),
        };
        bodies += usize::from(!operation["requestBody"].is_null());
        let needs_query = operation["parameters"].as_array().into_iter().flatten();
        let needs_query = needs_query.filter(|p| p["in"] == "query").any(|p| p["required"] == true);
        if needs_query {
            continue;
        }
        let answer = call.send().await;
        let status = answer.status.as_u16();
        let is_documented = operation["responses"][status.to_string()].is_object();
        if matches!(status, 400 | 413 | 422 | 500) || !is_documented {
            faults.push(format!("{method} {path}: {status} {}", answer.body));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(bodies > 25, "the rule finds too few bodies");
}
