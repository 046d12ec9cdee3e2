//! The check of each answer against the OpenAPI document finds each kind of difference.

use af_tests::contract::check;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn check_agents(status: u16, headers: &HeaderMap, body: &Value) -> Result<(), String> {
    check(&Method::GET, "/v1/agents?limit=1", StatusCode::from_u16(status).unwrap(), headers, body)
}

#[test]
fn an_answer_that_differs_from_the_document_is_found() {
    let json = headers(&[("content-type", "application/json")]);
    let problem = headers(&[("content-type", "application/problem+json")]);
    assert_eq!(check_agents(200, &json, &json!({"items": []})), Ok(()));
    for (status, headers, body, expected) in [
        (200, &json, json!({"items": 1}), "/items"),
        (200, &json, json!({}), "items"),
        (200, &problem, json!({"items": []}), "content type"),
        (204, &json, Value::Null, "status 204"),
        (429, &problem, json!({}), "retry-after"),
    ] {
        let difference = check_agents(status, headers, &body).unwrap_err();
        assert!(difference.to_ascii_lowercase().contains(expected), "{status} {body}: {difference}");
    }
}

#[test]
fn a_path_outside_the_document_is_not_checked() {
    let answer = check(&Method::GET, "/other", StatusCode::OK, &HeaderMap::new(), &Value::Null);
    assert_eq!(answer, Ok(()));
}
