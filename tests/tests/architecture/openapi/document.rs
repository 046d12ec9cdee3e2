//! Merges the functions' parts and adds the derived content: the parameters in paths, the problems that every call of a
//! kind can return, names, and examples.

use serde_json::{Map, Value, json};

use crate::openapi::examples::example_of;
use crate::openapi::limits;
use crate::openapi::problems::{gateway_content, problem, problems};

const DESCRIPTION: &str = "Errors are problem+json (RFC 9457) with a `code` of a closed list. Bodies are JSON in camelCase, times are epoch milliseconds, and unknown fields are refused. Lists answer `items` and, while there is more, `nextCursor`, which the \
    next call takes as `cursor`. An address whose calls had no valid credential 60 times within a minute gets 429 on every operation with a credential until the minute is over. Broken characters of a body become U+FFFD. The gateway \
    answers paths without a route and bodies that are too large itself, as `GatewayError`. `X-Request-Id` is taken and answered. Worker images that speak OpenClaw's own protocol use `/w/{token}/api/query`, `mutation` and `action`, \
    which are not part of this document; see docs/worker-image.md.";

const TAGS: [(&str, &str); 20] = [
    ("agents", "Agent profiles and their bots."),
    ("bindings", "Which agent and conversation a user talks to."),
    ("config", "Policies, and where workers run."),
    ("conversations", "Who has a conversation, what was said, what waits."),
    ("deployment", "For monitoring of the deployment and for authors of clients."),
    ("documents", "Workspace documents: what an agent is, how it works and what it remembers."),
    ("keys", "API keys."),
    ("messages", "Messages: sent, shown, cancelled."),
    ("pairing", "Pairing codes, and the onboarding of a user on Telegram."),
    ("provider", "The place where workers run."),
    ("outbox", "Replies on their way to Telegram."),
    ("push", "Messages at set times: push templates, push jobs, dispatches and broadcasts."),
    ("queue", "The queue in figures and lists, and what mends it."),
    ("secrets", "Secrets: imported, looked at, deleted. No answer holds a value."),
    ("skills", "Global skills."),
    ("snapshots", "The files that an agent keeps for a user."),
    ("telegram", "Telegram: the webhook, and how it is set."),
    ("templates", "Message templates: texts that apps send often."),
    ("usage", "What each day has used: messages, attempts, tokens and costs."),
    ("users", "The agents of a user."),
];
const TAGS_OF_WORKERS: [(&str, &str); 2] =
    [("worker", "The worker contract: what a worker calls with its token."), ("workers", "The worker pool.")];

/// The descriptions of parameters in paths.
const PARAMETERS: [(&str, &str); 21] = [
    ("agentKey", "An agent profile's key: 1 to 64 letters, digits, `.`, `_` or `-`."),
    ("botIdentity", "A Telegram bot's numeric id."),
    ("chat", "A chat, as `<botIdentity>:<chatId>`."),
    ("consumerUserId", "The consumer app's name for one of its users: 1 to 128 printable characters."),
    ("conversationId", "A conversation: 1 to 256 printable characters."),
    ("keyId", "An API key's id."),
    ("messageId", "A message."),
    ("pairingCode", "A pairing code."),
    ("path", "A workspace document, such as `USER.md` or `memory/2026-01-31.md`."),
    ("pathPrefix", "The deployment's `WebhookPathPrefix`."),
    ("secretRef", "A secret's name: 1 to 200 letters, digits, `.`, `_` or `-`."),
    ("slug", "A skill."),
    ("snapshotId", "A snapshot."),
    ("storageId", "A file that an agent has made or fetched."),
    ("templateKey", "The key of a message template or a push template: 1 to 64 letters, digits or `-`."),
    ("version", "A semantic version."),
    ("volumeId", "A volume, as its provider names it."),
    ("workerId", "A worker: 1 to 64 letters, digits, `.`, `_` or `-`."),
    ("broadcastId", "A broadcast."),
    ("companyId", "A company: 1 to 64 letters, digits, `.`, `_` or `-`."),
    ("pushJobId", "A push job."),
];

/// The document of all functions.
pub fn document(parts: &[Value]) -> Value {
    let (mut paths, mut schemas, mut responses) = (Map::new(), Map::new(), Map::new());
    for part in parts {
        for (path, item) in object(&part["paths"]) {
            assert!(paths.insert(path.replace("{*", "{"), item.clone()).is_none(), "two have {path}");
        }
        for (name, schema) in object(&part["components"]["schemas"]) {
            let before = schemas.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|b| b == *schema), "two schemas have the name {name}");
        }
    }
    for (path, item) in &mut paths {
        for operation in item.as_object_mut().expect("an item has operations").values_mut() {
            complete(path, operation, &mut schemas, &mut responses);
        }
    }
    let tags = TAGS.iter().chain(&TAGS_OF_WORKERS);
    let tags: Vec<_> = tags.map(|(name, text)| json!({"name": name, "description": text})).collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Agent Factory",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "Where this document was fetched."}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "securitySchemes": {
                "apiKey": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "afk_<id>_<secret>",
                    "description": "An API key with one of the scopes that the operation names.",
                },
                "userToken": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "afu_<token>",
                    "description": "A token of `createUserToken`, for the routes of its user.",
                },
                "workerToken": {
                    "type": "http", "scheme": "bearer", "description": "The token that a worker was started with.",
                },
                "webhookSecret": {
                    "type": "apiKey", "in": "header", "name": "X-Telegram-Bot-Api-Secret-Token",
                    "description": "The secret that the bot's webhook was set with.",
                },
            },
        },
    });
    rename(&mut document);
    join_descriptions(&mut document);
    document["components"]["schemas"]["GatewayError"] = limits::gateway_error();
    limits::add(&mut document);
    add_examples(&mut document);
    document
}

/// The entries of an object; no entries if it is not an object.
pub fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn complete(
    path: &str,
    operation: &mut Value,
    schemas: &mut Map<String, Value>,
    shared: &mut Map<String, Value>,
) {
    let id = operation["operationId"].as_str().expect("utoipa sets one").to_owned();
    let description = operation["description"].as_str().map(|d| d.replace("# Errors\n", "Errors: "));
    if let Some(description) = description {
        operation["description"] = description.trim().into();
    }
    // An operation without a credential says so.
    if operation["security"].is_null() {
        operation["security"] = json!([]);
    }
    let parameters = parameters_of(path);
    if !parameters.is_empty() {
        let own = operation["parameters"].as_array().cloned().unwrap_or_default();
        operation["parameters"] = parameters.into_iter().chain(own).collect();
    }
    let problems = problems(operation);
    let responses = operation["responses"].as_object_mut().expect("an operation has responses");
    responses.retain(|status, _| !status.starts_with(['4', '5']));
    for (status, response) in responses.iter_mut() {
        response["description"] = meaning(status).into();
        if response["content"]["text/event-stream"].is_object() {
            continue;
        }
        let media = &mut response["content"]["application/json"];
        if media.is_null() {
            response.as_object_mut().expect("it is one").remove("content");
        } else {
            hoist(&format!("{id}Answer"), &mut media["schema"], schemas);
        }
    }
    for (status, codes) in problems {
        let name: String = codes.iter().map(|code| word(code.as_str())).collect();
        responses.insert(status.clone(), json!({"$ref": format!("#/components/responses/{name}")}));
        shared.insert(name, problem(&status, &codes));
    }
    // A path whose parameter is empty matches no route.
    if !parameters_of(path).is_empty() {
        add_gateway_response(responses, shared, ("404", "NoRoute", "No route has this path"));
    }
    if !operation["requestBody"].is_null() {
        let responses = operation["responses"].as_object_mut().expect("an operation has responses");
        add_gateway_response(responses, shared, ("413", "BodyTooLarge", "The body is too large"));
    }
    let body = &mut operation["requestBody"]["content"]["application/json"]["schema"];
    if body.is_null() {
        operation.as_object_mut().expect("it is one").remove("requestBody");
    } else {
        hoist(&format!("{id}Request"), body, schemas);
    }
}

/// Adds a response of the gateway itself, which every call of the operation can get: its status, its name and its meaning.
/// The operation's own response of this status already describes it.
fn add_gateway_response(
    responses: &mut Map<String, Value>,
    shared: &mut Map<String, Value>,
    (status, name, meaning): (&str, &str, &str),
) {
    if responses.contains_key(status) {
        return;
    }
    responses.insert(status.to_owned(), json!({"$ref": format!("#/components/responses/{name}")}));
    let description = format!("{meaning}; the gateway itself answers.");
    let response = json!({"description": description, "content": {"application/json": gateway_content()}});
    shared.insert(name.to_owned(), response);
}

fn parameters_of(path: &str) -> Vec<Value> {
    segments(path).filter_map(parameter).collect()
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty() && *segment != "v1")
}

fn name_in(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// `telegram-token` and `stale_lease` as `TelegramToken` and `StaleLease`.
fn word(text: &str) -> String {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(|part| part[..1].to_uppercase() + &part[1..]).collect()
}

fn parameter(segment: &str) -> Option<Value> {
    let name = name_in(segment)?;
    let described = PARAMETERS.iter().find(|(known, _)| *known == name);
    let (_, description) = described.unwrap_or_else(|| panic!("the parameter {name} has no description"));
    let fixed =
        [("path", "USER.md"), ("pathPrefix", "agent-factory")].into_iter().find(|(known, _)| *known == name);
    let example = fixed.map_or_else(|| example_of(name, &Value::Null, &Value::Null), |(_, text)| text.into());
    Some(json!({
        "name": name, "in": "path", "required": true, "description": description,
        "schema": {"type": "string"}, "example": example,
    }))
}

fn meaning(status: &str) -> &'static str {
    match status {
        "200" => "Done.",
        "201" => "Made.",
        "202" => "Accepted; it goes on.",
        "204" => "Done; there is nothing to say.",
        "304" => "Nothing has changed.",
        other => panic!("the status {other} has no description"),
    }
}

/// Gives an inline schema of an operation its own name.
fn hoist(name: &str, schema: &mut Value, schemas: &mut Map<String, Value>) {
    let is_object = !schema["properties"].is_null() || !schema["allOf"].is_null();
    if is_object {
        let name = name[..1].to_uppercase() + &name[1..];
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        let before = schemas.insert(name.clone(), std::mem::replace(schema, reference));
        assert!(before.is_none(), "two schemas have the name {name}");
    }
}

/// Names for clients: without the `Body` of our types, and `AgentPage` for a page of agents.
fn renamed(name: &str) -> String {
    if let Some(item) = name.strip_prefix("Page_") {
        return format!("{}Page", renamed(item));
    }
    name.strip_suffix("Body").unwrap_or(name).to_owned()
}

fn rename(document: &mut Value) {
    let schemas = std::mem::take(&mut document["components"]["schemas"]);
    let mut named = Map::new();
    for (name, schema) in object(&schemas) {
        let mut schema = schema.clone();
        if let Some(item) = name.strip_prefix("Page_") {
            schema["properties"]["items"]["items"] = json!({"$ref": format!("#/components/schemas/{item}")});
        }
        let before = named.insert(renamed(name), schema);
        assert!(before.is_none(), "two schemas would have the name {}", renamed(name));
    }
    document["components"]["schemas"] = named.into();
    rename_references(document);
}

fn rename_references(value: &mut Value) {
    const SCHEMAS: &str = "#/components/schemas/";
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix(SCHEMAS))
            {
                let reference = format!("{SCHEMAS}{}", renamed(name));
                map.insert("$ref".to_owned(), reference.into());
            }
            map.values_mut().for_each(rename_references);
        }
        Value::Array(list) => list.iter_mut().for_each(rename_references),
        _ => {}
    }
}

/// Joins the description of a field with its inlined type. As two objects of `allOf`, no value would match both.
fn join_descriptions(value: &mut Value) {
    let joined = match value.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
        Some([kind, words])
            if words.as_object().is_some_and(|w| w.len() == 2)
                && words["type"] == "object"
                && words["description"].is_string() =>
        {
            let mut kind = kind.clone();
            kind["description"] = words["description"].clone();
            Some(kind)
        }
        _ => None,
    };
    if let Some(joined) = joined {
        *value = joined;
    }
    match value {
        Value::Object(map) => map.values_mut().for_each(join_descriptions),
        Value::Array(list) => list.iter_mut().for_each(join_descriptions),
        _ => {}
    }
}

fn add_examples(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    let items = document["paths"].as_object_mut().expect("there are paths").values_mut();
    for operation in items.flat_map(|item| item.as_object_mut().expect("it has operations").values_mut()) {
        let responses = operation["responses"].as_object_mut().expect("it has responses");
        let mut bodies: Vec<_> = responses.values_mut().filter_map(|r| r.get_mut("content")).collect();
        let responses_media = bodies.drain(..).filter_map(|c| c.get_mut("application/json"));
        responses_media.for_each(|media| add_example(media, &schemas));
        if let Some(media) = operation.pointer_mut("/requestBody/content/application~1json") {
            add_example(media, &schemas);
        }
    }
}

fn add_example(media: &mut Value, schemas: &Value) {
    if media["example"].is_null() {
        let example = example_of("", &media["schema"], schemas);
        if !example.is_null() {
            media["example"] = example;
        } else {
            media.as_object_mut().expect("it is one").remove("example");
        }
    }
}
