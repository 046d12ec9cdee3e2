//! The limits of AWS that no linter checks, on the expanded template with a stack name of 128 characters in the longest
//! region. `.ci/limits.py` has the same limits for the template that SAM expands.

use std::collections::BTreeMap;

use af_domain::ids::SecretRef;
use serde_json::{Value, json};

use crate::template::expansion::{Resource, arn, expand, generated_name};
use crate::template::{Template, one_function, one_function_with_paths};

/// Bytes of a function's resource policy: half of Lambda's 20 480, so that the next permissions have room.
const MAX_RESOURCE_POLICY_BYTES: usize = 10 * 1024;
/// Characters of all inline policies of a role, without white space (IAM).
const MAX_INLINE_POLICY_CHARS: usize = 10_240;
/// Resources of a stack (CloudFormation).
const MAX_RESOURCES: usize = 500;
/// Routes of an HTTP API, and integrations (API Gateway).
const MAX_ROUTES: usize = 300;
const MAX_INTEGRATIONS: usize = 300;
/// Bytes of a function's variables with their names (Lambda).
const MAX_ENVIRONMENT_BYTES: usize = 4 * 1024;
/// Indexes of a table (DynamoDB).
const MAX_GLOBAL_INDEXES: usize = 20;
const MAX_LOCAL_INDEXES: usize = 5;
/// Characters of a secret's name (Secrets Manager).
const MAX_SECRET_NAME_LEN: usize = 512;
/// Characters of the id of a statement in a resource policy (Lambda).
const MAX_STATEMENT_ID_LEN: usize = 100;

/// The longest names and descriptions, in characters: type of the resource, JSON pointer into its properties, limit.
/// CloudFormation keeps to the limit of a name that it makes itself.
const MAX_TEXT_LENS: [(&str, &str, usize); 13] = [
    ("AWS::ApiGatewayV2::Api", "/Body/info/description", 1024),
    ("AWS::ApiGatewayV2::Api", "/Body/info/title", 128),
    ("AWS::CloudWatch::Alarm", "/AlarmDescription", 1024),
    ("AWS::CloudWatch::Alarm", "/AlarmName", 255),
    ("AWS::DynamoDB::Table", "/TableName", 255),
    ("AWS::Events::Rule", "/Description", 512),
    ("AWS::Events::Rule", "/Name", 64),
    ("AWS::Lambda::Function", "/Description", 256),
    ("AWS::Lambda::Function", "/FunctionName", 64),
    ("AWS::Logs::LogGroup", "/LogGroupName", 512),
    ("AWS::S3::Bucket", "/BucketName", 63),
    ("AWS::SecretsManager::Secret", "/Description", 2048),
    ("AWS::SecretsManager::Secret", "/Name", MAX_SECRET_NAME_LEN),
];
/// Characters of descriptions of the template itself (CloudFormation).
const MAX_TEMPLATE_DESCRIPTION_LEN: usize = 1024;
const MAX_PARAMETER_DESCRIPTION_LEN: usize = 4000;
const MAX_OUTPUT_DESCRIPTION_LEN: usize = 1024;

fn of_kind<'a>(resources: &'a [Resource], kind: &str) -> impl Iterator<Item = &'a Resource> {
    resources.iter().filter(move |resource| resource.kind == kind)
}

/// A message when `size` is above `limit`.
fn above(what: impl std::fmt::Display, size: usize, limit: usize) -> Option<String> {
    (size > limit).then(|| format!("{what}: {size} is more than {limit}"))
}

/// All permissions of a function are statements of its resource policy. Lambda's GetPolicy answers the same text.
fn resource_policy_mistakes(resources: &[Resource]) -> Vec<String> {
    let mut statements: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for permission in of_kind(resources, "AWS::Lambda::Permission") {
        let text = |name: &str| permission.properties[name].as_str().unwrap_or_default();
        let function = text("FunctionName");
        statements.entry(function).or_default().push(json!({
            "Sid": generated_name(&permission.id, MAX_STATEMENT_ID_LEN),
            "Effect": "Allow",
            "Principal": {"Service": text("Principal")},
            "Action": text("Action"),
            "Resource": format!("{}function:{function}", arn("lambda")),
            "Condition": {"ArnLike": {"AWS:SourceArn": text("SourceArn")}},
        }));
    }
    let size = |statements| {
        json!({"Version": "2012-10-17", "Id": "default", "Statement": statements}).to_string().len()
    };
    let policies = statements.into_iter();
    let policies = policies.map(|(function, statements)| (function, size(statements)));
    policies
        .filter_map(|(function, bytes)| {
            above(format!("the resource policy of {function}"), bytes, MAX_RESOURCE_POLICY_BYTES)
        })
        .collect()
}

fn inline_policy_mistakes(resources: &[Resource]) -> Vec<String> {
    let size = |role: &Resource| -> usize {
        let policies = role.properties["Policies"].as_array().into_iter().flatten();
        policies.map(|policy| policy["PolicyDocument"].to_string().chars().count()).sum()
    };
    of_kind(resources, "AWS::IAM::Role")
        .filter_map(|role| above(format!("the policy of {}", role.id), size(role), MAX_INLINE_POLICY_CHARS))
        .collect()
}

fn count_mistakes(resources: &[Resource]) -> Vec<String> {
    let mut wrong: Vec<_> = above("the stack", resources.len(), MAX_RESOURCES).into_iter().collect();
    let fields = |value: &Value| value.as_object().map_or(0, serde_json::Map::len);
    let items = |value: &Value| value.as_array().map_or(0, Vec::len);
    for api in of_kind(resources, "AWS::ApiGatewayV2::Api") {
        let body = &api.properties["Body"];
        let routes = body["paths"].as_object().into_iter().flatten().map(|(_, path)| fields(path)).sum();
        wrong.extend(above(format!("the routes of {}", api.id), routes, MAX_ROUTES));
        let integrations = fields(&body["components"]["x-amazon-apigateway-integrations"]);
        wrong.extend(above(format!("the integrations of {}", api.id), integrations, MAX_INTEGRATIONS));
    }
    for table in of_kind(resources, "AWS::DynamoDB::Table") {
        let indexes = |name: &str| items(&table.properties[name]);
        let (global, local) = (indexes("GlobalSecondaryIndexes"), indexes("LocalSecondaryIndexes"));
        wrong.extend(above(format!("the global indexes of {}", table.id), global, MAX_GLOBAL_INDEXES));
        wrong.extend(above(format!("the local indexes of {}", table.id), local, MAX_LOCAL_INDEXES));
    }
    wrong
}

/// Measures the variables as JSON. Lambda counts a little less.
fn environment_mistakes(resources: &[Resource]) -> Vec<String> {
    let size = |function: &Resource| function.properties["Environment"]["Variables"].to_string().len();
    of_kind(resources, "AWS::Lambda::Function")
        .filter_map(|f| above(format!("the environment of {}", f.id), size(f), MAX_ENVIRONMENT_BYTES))
        .collect()
}

/// Names that the template declares, names of secrets that functions create, and descriptions.
fn text_mistakes(resources: &[Resource]) -> Vec<String> {
    let length = |value: Option<&Value>| value.and_then(Value::as_str).map_or(0, |text| text.chars().count());
    let texts = MAX_TEXT_LENS.into_iter().flat_map(|(kind, pointer, limit)| {
        of_kind(resources, kind).filter_map(move |resource| {
            above(format!("{}{pointer}", resource.id), length(resource.properties.pointer(pointer)), limit)
        })
    });
    let longest_ref = (1..=MAX_SECRET_NAME_LEN).rfind(|len| SecretRef::parse("a".repeat(*len)).is_ok());
    let secrets = of_kind(resources, "AWS::Lambda::Function").filter_map(|function| {
        let prefix = length(function.properties.pointer("/Environment/Variables/SECRETS_PREFIX"));
        let secret = prefix + 1 + longest_ref.expect("there are references to secrets");
        above(format!("the longest secret of {}", function.id), secret, MAX_SECRET_NAME_LEN)
    });
    texts.chain(secrets).collect()
}

fn template_description_mistakes(template: &Template) -> Vec<String> {
    let length =
        |value: &serde_norway::Value| value["Description"].as_str().map_or(0, |text| text.chars().count());
    let section = |name: &'static str, limit| {
        let entries = template.0[name].as_mapping().into_iter().flatten();
        entries.filter_map(move |(key, entry)| above(format!("{name}: {key:?}"), length(entry), limit))
    };
    let whole = above("the template's description", length(&template.0), MAX_TEMPLATE_DESCRIPTION_LEN);
    let parameters = section("Parameters", MAX_PARAMETER_DESCRIPTION_LEN);
    whole.into_iter().chain(parameters).chain(section("Outputs", MAX_OUTPUT_DESCRIPTION_LEN)).collect()
}

/// A message for each limit that the template exceeds.
fn limit_mistakes(template: &Template) -> Vec<String> {
    let resources = expand(template);
    let rules = [
        resource_policy_mistakes,
        inline_policy_mistakes,
        count_mistakes,
        environment_mistakes,
        text_mistakes,
    ];
    let mut wrong: Vec<_> = rules.iter().flat_map(|rule| rule(&resources)).collect();
    wrong.extend(template_description_mistakes(template));
    wrong
}

#[test]
fn the_longest_stack_is_within_the_limits_of_aws() {
    assert_eq!(limit_mistakes(&Template::real()), [""; 0]);
}

#[test]
fn the_limits_look_at_every_function_role_permission_and_table() {
    let resources = expand(&Template::real());
    let count = |kind| of_kind(&resources, kind).count();
    let functions = Template::real().functions().len();
    assert_eq!((count("AWS::Lambda::Function"), count("AWS::IAM::Role")), (functions, functions));
    // Each function has one permission, for its routes or for its schedule. Effects has two schedules, and the URL of stream
    // needs two permissions.
    assert_eq!(count("AWS::Lambda::Permission"), functions + 2);
    assert_eq!((count("AWS::ApiGatewayV2::Api"), count("AWS::DynamoDB::Table")), (1, 1));
    for role in ["ReconcileRole", "EffectsRole"] {
        let role = resources.iter().find(|resource| resource.id == role).expect("the resource exists");
        let policies = role.properties["Policies"].as_array().map(Vec::len);
        assert_eq!(policies, Some(2), "the declared policy and one for the failure queue");
    }
}

/// A list of `count` copies of `one` in flow style. Each has its number in place of `#`.
fn repeated(count: usize, one: &str) -> String {
    (1..=count).map(|number| one.replace('#', &number.to_string())).collect::<Vec<_>>().join(", ")
}

/// A template with one resource.
fn one_resource(kind: &str, properties: &str) -> Template {
    Template::of(&format!("Resources:\n  Thing: {{Type: '{kind}', Properties: {properties}}}\n"))
}

#[test]
fn a_permission_for_each_route_is_noticed() {
    let event = "E#: {Type: HttpApi, Properties: {Method: GET, Path: '/v1/users/{user}/things/#'}}";
    let events = |count| one_function(&format!("{{Events: {{{}}}}}", repeated(count, event)));
    assert_eq!(limit_mistakes(&events(20)), [""; 0]);
    for count in [47, 110] {
        let wrong = limit_mistakes(&events(count));
        assert!(wrong.len() == 1 && wrong[0].starts_with("the resource policy of sss"), "{wrong:?}");
    }
}

#[test]
fn routes_in_the_body_share_a_permission_and_only_their_number_is_limited() {
    let paths = |count| {
        one_function_with_paths("{}", &format!("{{{}}}", repeated(count, "/v1/things/#: {get: $Worker}")))
    };
    assert_eq!(limit_mistakes(&paths(110)), [""; 0]);
    assert_eq!(limit_mistakes(&paths(301)), ["the routes of HttpApi: 301 is more than 300"]);
    let integrations =
        format!("{{components: {{x-amazon-apigateway-integrations: {{{}}}}}}}", repeated(301, "I#: {}"));
    let api = format!("{{DefinitionBody: {integrations}}}");
    assert_eq!(limit_mistakes(&one_resource("AWS::Serverless::HttpApi", &api)).len(), 1);
}

#[test]
fn a_long_inline_policy_is_noticed() {
    let statement =
        "{Sid: S#, Effect: Allow, Action: s3:GetObject, Resource: 'arn:aws:s3:::bucket/folder/*'}";
    let role =
        |count| one_function(&format!("{{Policies: [{{Statement: [{}]}}]}}", repeated(count, statement)));
    assert_eq!(limit_mistakes(&role(50)), [""; 0]);
    let wrong = limit_mistakes(&role(120));
    assert!(wrong.len() == 1 && wrong[0].starts_with("the policy of WorkerRole"), "{wrong:?}");
}

#[test]
fn too_many_resources_and_indexes_are_noticed() {
    let stack =
        |count| Template::of(&format!("Resources: {{{}}}", repeated(count, "Q#: {Type: AWS::SQS::Queue}")));
    assert_eq!(limit_mistakes(&stack(500)), [""; 0]);
    assert_eq!(limit_mistakes(&stack(501)), ["the stack: 501 is more than 500"]);
    for (kind, limit) in [("GlobalSecondaryIndexes", 20), ("LocalSecondaryIndexes", 5)] {
        let table = |count| {
            one_resource(
                "AWS::DynamoDB::Table",
                &format!("{{{kind}: [{}]}}", repeated(count, "{IndexName: i#}")),
            )
        };
        assert_eq!(limit_mistakes(&table(limit)), [""; 0]);
        assert_eq!(limit_mistakes(&table(limit + 1)).len(), 1, "{kind}");
    }
}

#[test]
fn a_long_environment_is_noticed() {
    let variables =
        |length| one_function(&format!("{{Environment: {{Variables: {{A: {}}}}}}}", "a".repeat(length)));
    assert_eq!(limit_mistakes(&variables(4_000)), [""; 0]);
    assert_eq!(limit_mistakes(&variables(4_096)).len(), 1);
    // The longer branch of a condition counts.
    let chosen =
        one_function(&format!("{{Environment: {{Variables: {{A: !If [C, a, {}]}}}}}}", "a".repeat(4_096)));
    assert_eq!(limit_mistakes(&chosen).len(), 1);
}

#[test]
fn long_names_and_descriptions_are_noticed() {
    let stack_name = |times: usize| "${AWS::StackName}".repeat(times);
    let log_group = |times| {
        one_resource("AWS::Logs::LogGroup", &format!("{{LogGroupName: !Sub '{}'}}", stack_name(times)))
    };
    assert_eq!(limit_mistakes(&log_group(4)), [""; 0]);
    assert_eq!(limit_mistakes(&log_group(5)), ["Thing/LogGroupName: 640 is more than 512"]);
    let function = one_function("{FunctionName: !Sub '${AWS::StackName}-worker'}");
    assert_eq!(limit_mistakes(&function), ["Worker/FunctionName: 135 is more than 64"]);
    let described = one_function(&format!("{{Description: {}}}", "a".repeat(257)));
    assert_eq!(limit_mistakes(&described), ["Worker/Description: 257 is more than 256"]);
    let secret =
        one_resource("AWS::SecretsManager::Secret", &format!("{{Name: !Sub '{}-key'}}", stack_name(4)));
    assert_eq!(limit_mistakes(&secret), ["Thing/Name: 516 is more than 512"]);
    let prefix = format!("{{Environment: {{Variables: {{SECRETS_PREFIX: !Sub '{}'}}}}}}", stack_name(3));
    assert_eq!(
        limit_mistakes(&one_function(&prefix)),
        ["the longest secret of Worker: 585 is more than 512"]
    );
    let output = format!("Resources: {{}}\nOutputs: {{Url: {{Description: {}}}}}", "a".repeat(1025));
    assert_eq!(limit_mistakes(&Template::of(&output)).len(), 1);
}
