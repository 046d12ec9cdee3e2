//! The HTTP API and the URL of the function `Stream` have the same CORS rules, because the pages of an app call both.

use std::collections::{BTreeMap, BTreeSet};

use af_tests::workspace::root;
use serde_norway::Value;

use super::Template;

/// The rules in the order of a CORS rule of the HTTP API and of a function URL.
const NAMES: [(&str, &str); 5] = [
    ("allowOrigins", "AllowOrigins"),
    ("allowMethods", "AllowMethods"),
    ("allowHeaders", "AllowHeaders"),
    ("exposeHeaders", "ExposeHeaders"),
    ("maxAge", "MaxAge"),
];

/// The rules of `!If [HasAllowedOrigins, rules, no value]`.
fn rules(value: &Value) -> &Value {
    let Value::Tagged(tagged) = value else { panic!("{value:?} depends on AllowedOrigins") };
    let [condition, rules, _] = &tagged.value.as_sequence().expect("Fn::If has a list")[..] else {
        panic!("{value:?}")
    };
    assert_eq!(condition.as_str(), Some("HasAllowedOrigins"));
    rules
}

#[test]
fn the_stream_and_the_api_let_the_same_pages_call() {
    let template = Template::real();
    let properties = |id: &str| template.0["Resources"][id]["Properties"].clone();
    let (api, stream) = (properties("HttpApi"), properties("Stream"));
    let api = rules(&api["DefinitionBody"]["x-amazon-apigateway-cors"]);
    let stream = rules(&stream["FunctionUrlConfig"]["Cors"]);
    for (of_api, of_url) in NAMES {
        // The stream has one method.
        if of_api != "allowMethods" {
            assert_eq!(api[of_api], stream[of_url], "{of_api}");
        }
    }
}

#[test]
fn a_page_may_use_all_methods_and_headers_of_the_api() {
    let given =
        BTreeMap::from([("AllowedOrigins".to_owned(), "https://a.example,https://b.example".to_owned())]);
    let yaml = Template::real_text();
    let template = af_sam::template::Template::parse(&yaml, &given).unwrap();
    let cors = template.cors.unwrap();
    assert_eq!(cors.origins, ["https://a.example", "https://b.example"]);
    let text = std::fs::read_to_string(root().join("docs/openapi.json")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let methods: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().keys().map(|method| method.to_uppercase()))
        .collect();
    assert_eq!(BTreeSet::from_iter(cors.methods), methods);
    let parameters = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .flat_map(|operation| operation["parameters"].as_array().cloned().unwrap_or_default());
    let headers = parameters.filter(|parameter| parameter["in"] == "header");
    for header in headers.map(|header| header["name"].as_str().unwrap().to_lowercase()) {
        assert!(cors.headers.contains(&header) || header.starts_with("x-telegram-"), "{header}");
    }
    let without = af_sam::template::Template::parse(&yaml, &BTreeMap::new()).unwrap();
    assert_eq!(without.cors, None, "no page may call by default");
}
