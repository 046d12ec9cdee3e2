//! The problems in the OpenAPI document: which ones an operation can return, and their responses.

use std::collections::BTreeMap;

use af_domain::refusal::Code;
use serde_json::{Value, json};

use super::document::object;

/// The problems that the operation can return, by status: its own and those of every call of its kind.
pub fn problems(operation: &Value) -> BTreeMap<String, Vec<Code>> {
    let mut codes: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    let mut add = |code: Code| {
        let known = codes.entry(af_http::status(code).as_u16()).or_default();
        if !known.contains(&code) {
            known.push(code);
        }
    };
    for (status, response) in object(&operation["responses"]).filter(|(s, _)| s.starts_with(['4', '5'])) {
        for name in response["description"].as_str().unwrap_or_default().split(", ") {
            let code = Code::ALL.into_iter().find(|code| code.as_str() == name);
            let code = code.unwrap_or_else(|| panic!("{name:?} is no code: {operation}"));
            assert_eq!(af_http::status(code).as_str(), status, "{name} is not answered so");
            add(code);
        }
    }
    // Telegram repeats a refused call, so an unreadable call is ignored instead.
    let is_webhook = !operation["security"][0]["webhookSecret"].is_null();
    let (body, parameters) = (&operation["requestBody"], &operation["parameters"]);
    if !body.is_null() && !is_webhook {
        [Code::MalformedRequest, Code::PayloadTooLarge, Code::InvalidField].into_iter().for_each(&mut add);
    }
    if !parameters.is_null() && !is_webhook {
        add(Code::InvalidField);
    }
    // A path that is not UTF-8.
    if parameters.as_array().into_iter().flatten().any(|parameter| parameter["in"] == "path") {
        add(Code::MalformedRequest);
    }
    for scheme in operation["security"].as_array().into_iter().flatten() {
        add(Code::Unauthorized);
        // The limit on failed authentication of an address.
        add(Code::RateLimited);
        if !scheme["apiKey"].is_null() {
            add(Code::Forbidden);
        }
    }
    add(Code::Internal);
    codes.into_iter().map(|(status, codes)| (status.to_string(), codes)).collect()
}

/// The response with one of these codes.
pub fn problem(status: &str, codes: &[Code]) -> Value {
    let names: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    let description = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let only = json!({"type": "object", "properties": {"code": {"enum": names}}});
    let schema = json!({"allOf": [{"$ref": "#/components/schemas/Problem"}, only]});
    let mut content = json!({(af_api::problem::PROBLEM_JSON): {"schema": schema}});
    if matches!(status, "404" | "413") {
        content["application/json"] = gateway_content();
    }
    let mut response = json!({"description": description, "content": content});
    if status == "429" {
        response["headers"]["Retry-After"] = json!({
            "description": "The number of seconds after which the call may succeed.",
            "required": true, "schema": {"type": "integer", "minimum": 1},
        });
    }
    response
}

/// The body of a response of the gateway itself.
pub fn gateway_content() -> Value {
    json!({"schema": {"$ref": "#/components/schemas/GatewayError"}})
}
