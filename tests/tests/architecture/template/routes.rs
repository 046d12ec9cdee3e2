//! The routes of the HTTP API: each in one line of its `DefinitionBody`, one integration and one permission for each
//! function.

use std::collections::BTreeSet;

use crate::template::{Function, Route, Template, keys, without_parameters};
use serde_norway::Value;

/// The URI by which API Gateway invokes a function.
const URI: (&str, &str) = (
    "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${",
    ".Arn}/invocations",
);
/// Every route of the API. With one permission for each route, the resource policy of a function grows with its routes.
const ALL_ROUTES: &str = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}/*";

/// The text of `!Sub text`, or the name of `!Ref name`.
fn tagged<'a>(value: &'a Value, tag: &str) -> Option<&'a str> {
    let Value::Tagged(tagged) = value else { return None };
    tagged.value.as_str().filter(|_| tagged.tag == tag)
}

/// The names of a path's parameters. A `+` says that the parameter may contain slashes, and is not part of its name.
fn parameters(path: &str) -> Vec<&str> {
    let braced = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    braced.map(|name| name.trim_end_matches('+')).collect()
}

/// A route leads to a function, declares the parameters of its path as SAM does, and is declared once.
fn route_mistakes(template: &Template) -> Vec<String> {
    let functions: BTreeSet<&str> = template.functions().iter().map(|f| f.id).collect();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for Route { method, path, function, operation } in template.routes() {
        let route = format!("{method} {path}");
        if !function.is_some_and(|function| functions.contains(function)) {
            wrong.push(format!("{route} leads to no function"));
        }
        let declared = operation["parameters"].as_sequence().map(Vec::as_slice).unwrap_or_default();
        let wanted = parameters(path).into_iter().map(|name| {
            let text = format!("{{name: {name}, in: path, required: true}}");
            serde_norway::from_str::<Value>(&text).expect("the template is YAML")
        });
        if !declared.iter().cloned().eq(wanted) || !operation["responses"].is_mapping() {
            wrong.push(format!("{route} does not declare its parameters and responses as SAM does"));
        }
        // API Gateway does not tell routes apart by the names of their parameters.
        if !seen.insert(format!("{method} {}", without_parameters(path, "{}"))) {
            wrong.push(format!("{route} is declared twice"));
        }
    }
    wrong
}

/// An integration has the name of its function, which gets the whole request in payload format 2.0.
fn integration_mistakes(template: &Template) -> Vec<String> {
    let integrations = template.integrations();
    let wrong = keys(integrations).into_iter().filter(|name| {
        let integration = &integrations[name.as_str()];
        let fields = ["type", "httpMethod", "payloadFormatVersion"].map(|field| integration[field].as_str());
        fields != [Some("aws_proxy"), Some("POST"), Some("2.0")]
            || tagged(&integration["uri"], "Sub") != Some(&format!("{}{name}{}", URI.0, URI.1))
    });
    wrong.map(|name| format!("{name} is not invoked as SAM does it")).collect()
}

/// API Gateway may invoke each function that has routes, by one permission for all of them, and no other function.
fn permission_mistakes(template: &Template) -> Vec<String> {
    let permissions: Vec<&Value> = template
        .resources()
        .filter(|(_, r)| r["Type"].as_str() == Some("AWS::Lambda::Permission"))
        .map(|(_, r)| &r["Properties"])
        .collect();
    let routes = template.routes();
    let mistake = |function: &Function<'_>| {
        let own = permissions.iter().filter(|p| tagged(&p["FunctionName"], "Ref") == Some(function.id));
        let right = own.clone().filter(|p| {
            tagged(&p["SourceArn"], "Sub") == Some(ALL_ROUTES)
                && p["Principal"].as_str() == Some("apigateway.amazonaws.com")
                && p["Action"].as_str() == Some("lambda:InvokeFunction")
        });
        let wanted = usize::from(routes.iter().any(|route| route.function == Some(function.id)));
        (own.count() != wanted || right.count() != wanted)
            .then(|| format!("{} needs {wanted} permission for API Gateway", function.id))
    };
    template.functions().iter().filter_map(mistake).collect()
}

#[test]
fn every_route_leads_to_a_function_and_is_declared_once() {
    let template = Template::real();
    assert_eq!(route_mistakes(&template), [""; 0]);
    assert!(!template.routes().is_empty(), "the rule finds no routes");
}

#[test]
fn every_integration_is_named_for_the_function_that_it_invokes() {
    let template = Template::real();
    assert_eq!(integration_mistakes(&template), [""; 0]);
    let used: BTreeSet<&str> = template.routes().iter().filter_map(|route| route.function).collect();
    let declared = keys(template.integrations());
    assert_eq!(declared.iter().map(String::as_str).collect::<BTreeSet<_>>(), used);
}

#[test]
fn the_routes_of_a_function_share_one_permission() {
    assert_eq!(permission_mistakes(&Template::real()), [""; 0]);
}

/// The first lines of an operation of AdminApi.
const OPERATION: &str = "{x-amazon-apigateway-integration: \
                         {$ref: '#/components/x-amazon-apigateway-integrations/AdminApi'}, ";

#[test]
fn a_wrong_route_is_noticed() {
    let stats = format!("/v1/queue/stats:\n            get: {OPERATION}");
    let elsewhere = Template::real_with(&stats, &stats.replace("AdminApi", "Nowhere"));
    assert_eq!(route_mistakes(&elsewhere), ["GET /v1/queue/stats leads to no function"]);
    let undeclared = Template::real_with("/v1/queue/stats:", "/v1/queue/{name}:");
    assert_eq!(route_mistakes(&undeclared).len(), 1);
    let parameter = "{name: volumeId, in: path, required: true";
    let schema = Template::real_with(parameter, &format!("{parameter}, schema: {{type: string}}"));
    assert_eq!(route_mistakes(&schema).len(), 1);
    let again = format!(
        "/v1/keys/{{id}}:\n            delete: {OPERATION}parameters: [{{name: id, in: path, required: true}}], \
         responses: {{}}}}\n          /v1/keys/{{keyId}}:"
    );
    let twice = Template::real_with("/v1/keys/{keyId}:", &again);
    assert_eq!(route_mistakes(&twice), ["DELETE /v1/keys/{keyId} is declared twice"]);
}

#[test]
fn a_wrong_integration_or_permission_is_noticed() {
    let other = Template::real_with("functions/${Worker.Arn}", "functions/${Webhook.Arn}");
    assert_eq!(integration_mistakes(&other), ["Worker is not invoked as SAM does it"]);
    let format = "Worker: {type: aws_proxy, httpMethod: POST, payloadFormatVersion: ";
    let old = Template::real_with(&format!("{format}'2.0'"), &format!("{format}'1.0'"));
    assert_eq!(integration_mistakes(&old), ["Worker is not invoked as SAM does it"]);

    let permission =
        "FunctionName: !Ref Worker\n      Principal: apigateway.amazonaws.com\n      SourceArn: ";
    for other in ["Webhook", "Reconcile"] {
        let moved = Template::real_with(permission, &permission.replace("Worker", other));
        assert_eq!(permission_mistakes(&moved).len(), 2, "Worker has none and {other} one too many");
    }
    let source = format!("{permission}!Sub '{ALL_ROUTES}");
    let narrow = Template::real_with(&source, &format!("{source}/GET/v1/worker/skills"));
    assert_eq!(permission_mistakes(&narrow), ["Worker needs 1 permission for API Gateway"]);
}
