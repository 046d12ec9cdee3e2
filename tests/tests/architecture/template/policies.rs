//! The permissions of the functions, and the content of the access log.

use af_domain::media::MAX_KEPT;
use af_domain::time::Millis;

use crate::template::{Template, one_function};
use serde_norway::Value;

/// Actions that have no resource in IAM and may therefore name all resources.
const ACTIONS_WITHOUT_RESOURCE: [&str; 1] = ["secretsmanager:BatchGetSecretValue"];

/// One text or a list of texts; intrinsic functions do not count.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Sequence(items) => items.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().into_iter().collect(),
    }
}

/// Every policy statement in the template that allows something.
fn allowing(value: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    match value {
        Value::Mapping(mapping) => {
            if value["Effect"].as_str() == Some("Allow") {
                found.push(value);
            }
            found.extend(mapping.values().flat_map(allowing));
        }
        Value::Sequence(items) => found.extend(items.iter().flat_map(allowing)),
        Value::Tagged(tagged) => found.extend(allowing(&tagged.value)),
        _ => {}
    }
    found
}

/// No statement allows a family of actions. A statement allows all resources only if IAM has no narrower one.
fn broad_statements(template: &Template) -> Vec<String> {
    let mut broad = Vec::new();
    for statement in allowing(&template.0) {
        let actions = texts(&statement["Action"]);
        if actions.is_empty() {
            broad.push("a statement without actions".to_owned());
        }
        broad.extend(actions.iter().filter(|a| a.contains('*')).map(|a| (*a).to_owned()));
        if texts(&statement["Resource"]).contains(&"*") {
            let narrower = actions.iter().filter(|a| !ACTIONS_WITHOUT_RESOURCE.contains(a));
            broad.extend(narrower.map(|action| format!("{action} on everything")));
        }
    }
    broad
}

/// Access logs contain the route and no data of the caller.
fn access_logs_with_caller_data(template: &Template) -> Vec<String> {
    let apis = template.resources().filter(|(_, r)| r["Type"].as_str() == Some("AWS::Serverless::HttpApi"));
    apis.flat_map(|(id, api)| {
        let format = api["Properties"]["AccessLogSettings"]["Format"].as_str().unwrap_or_default();
        let mut wrong = Vec::new();
        if !format.contains("$context.routeKey") {
            wrong.push(format!("{id} does not log its route"));
        }
        let sent =
            ["$context.path", "$context.requestOverride", "$context.identity", "$context.domain", "header"];
        wrong.extend(sent.iter().filter(|s| format.contains(**s)).map(|s| format!("{id} logs {s}")));
        wrong
    })
    .collect()
}

#[test]
fn no_policy_allows_a_family_of_actions() {
    assert_eq!(broad_statements(&Template::real()), [""; 0]);
    assert!(!allowing(&Template::real().0).is_empty(), "the rule finds no statements");
}

#[test]
fn access_logs_contain_the_route_and_no_data_of_the_caller() {
    assert_eq!(access_logs_with_caller_data(&Template::real()), [""; 0]);
}

/// The number of days after which the bucket removes objects under `prefix`.
fn removed_after(template: &Template, prefix: &str) -> Option<u64> {
    let (_, bucket) = template.resources().find(|(id, _)| *id == "Bucket")?;
    let rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"].as_sequence()?;
    let rule = rules.iter().find(|rule| rule["Prefix"].as_str() == Some(prefix))?;
    rule["ExpirationInDays"].as_u64().filter(|_| rule["Status"].as_str() == Some("Enabled"))
}

#[test]
fn the_bucket_expires_media_after_the_sweep_and_never_snapshots() {
    let days = removed_after(&Template::real(), "media/").expect("media have a lifecycle rule");
    assert!(Millis::from_days(days) > MAX_KEPT);
    assert_eq!(removed_after(&Template::real(), "snapshots/"), None, "the latest snapshot never expires");
}

#[test]
fn a_broad_statement_is_noticed() {
    let statement = |text: &str| one_function(&format!("{{Policies: [{{Statement: [{text}]}}]}}"));
    let broad = [
        "{Effect: Allow, Action: 'dynamodb:*', Resource: !GetAtt Table.Arn}",
        "{Effect: Allow, Action: [s3:GetObject, 's3:Put*'], Resource: !GetAtt Bucket.Arn}",
        "{Effect: Allow, Action: dynamodb:GetItem, Resource: '*'}",
        "{Effect: Allow, NotAction: dynamodb:GetItem, Resource: !GetAtt Table.Arn}",
    ];
    for text in broad {
        assert_eq!(broad_statements(&statement(text)).len(), 1, "{text}");
    }
    let narrow = "{Effect: Allow, Action: [dynamodb:GetItem], Resource: !GetAtt Table.Arn}";
    assert_eq!(broad_statements(&statement(narrow)), [""; 0]);
}

#[test]
fn an_access_log_with_caller_data_is_noticed() {
    let format = |text: &str| {
        Template::of(&format!(
            "Resources:\n  Api:\n    Type: AWS::Serverless::HttpApi\n    \
             Properties: {{AccessLogSettings: {{Format: '{text}'}}}}\n"
        ))
    };
    assert_eq!(access_logs_with_caller_data(&format("$context.routeKey $context.status")), [""; 0]);
    assert_eq!(access_logs_with_caller_data(&format("$context.status")), ["Api does not log its route"]);
    assert_eq!(
        access_logs_with_caller_data(&format("$context.routeKey $context.path")),
        ["Api logs $context.path"]
    );
}
