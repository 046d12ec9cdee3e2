//! The expanded template: every resource that SAM makes of the template, with the properties that AWS limits and with
//! the longest names that a deployment can have.
//!
//! This expansion is for `cargo test`, which needs no Python. `.ci/limits.py` checks the template that SAM expands.

use serde_json::{Map, Value, json};
use serde_norway::Value as Yaml;

use crate::template::{Template, keys, without_parameters};

/// The longest name of a stack.
pub const STACK_NAME_LEN: usize = 128;
/// The longest region, partition and domain. They belong to different places, so every real ARN is shorter.
const REGION: &str = "us-isof-south-1";
const PARTITION: &str = "aws-us-gov";
const URL_SUFFIX: &str = "amazonaws.com.cn";
const ACCOUNT: &str = "000000000000";
/// Characters that CloudFormation appends to a name that it makes, without the hyphen before them.
const SUFFIX_LEN: usize = 13;
/// Characters that Secrets Manager appends to a name in an ARN, with the hyphen before them.
const SECRET_SUFFIX: &str = "-AbCdEf";

/// Parameters without `AllowedValues`: name, `AllowedPattern`, characters of the longest value. The pattern of a URL
/// has no limit, so the longest host name sets it.
const LONGEST_PARAMETERS: [(&str, &str, usize); 4] = [
    ("DeploymentId", "^[a-z][a-z0-9-]{0,30}[a-z0-9]$", 32),
    ("WebhookPathPrefix", "^/[A-Za-z0-9_-]{1,64}$", 65),
    ("TelegramApiUrl", "^https?://[^/]+$", 8 + 253),
    ("FlyApiUrl", "^https?://[^ ]+$", 8 + 253 + 3),
];

/// A resource of the expanded template.
#[derive(Debug)]
pub struct Resource {
    pub id: String,
    pub kind: String,
    /// With every intrinsic function evaluated.
    pub properties: Value,
}

/// Every resource of the expanded template.
pub fn expand(template: &Template) -> Vec<Resource> {
    let names = Names(template);
    let mut resources = Vec::new();
    for (id, resource) in template.resources() {
        let properties = names.value(&resource["Properties"]);
        match resource["Type"].as_str().expect("a resource has a type") {
            "AWS::Serverless::Function" => resources.extend(function(&names, id, &properties)),
            "AWS::Serverless::HttpApi" => resources.extend(http_api(id, &properties)),
            kind if kind.starts_with("AWS::Serverless::") => panic!("the expansion of a {kind} is unknown"),
            kind => resources.push(Resource { id: id.to_owned(), kind: kind.to_owned(), properties }),
        }
    }
    resources
}

fn resource(id: impl Into<String>, kind: &str, properties: Value) -> Resource {
    Resource { id: id.into(), kind: kind.to_owned(), properties }
}

/// The function, its role, its invoke config, and what its events become.
fn function(names: &Names<'_>, id: &str, properties: &Value) -> Vec<Resource> {
    let globals = names.value(&names.0.0["Globals"]["Function"]);
    let mut variables = fields(&globals["Environment"]["Variables"]);
    variables.extend(fields(&properties["Environment"]["Variables"]));
    let lambda = json!({
        "FunctionName": properties["FunctionName"],
        "Description": properties["Description"],
        "Environment": {"Variables": variables},
    });
    let mut resources = vec![
        resource(id, "AWS::Lambda::Function", lambda),
        resource(format!("{id}Role"), "AWS::IAM::Role", json!({"Policies": policies(id, properties)})),
    ];
    if !properties["EventInvokeConfig"].is_null() {
        resources.push(resource(
            format!("{id}EventInvokeConfig"),
            "AWS::Lambda::EventInvokeConfig",
            Value::Null,
        ));
    }
    if !properties["FunctionUrlConfig"].is_null() {
        let public = |action: &str| {
            let function = names.physical(id, "AWS::Serverless::Function");
            json!({"Action": action, "FunctionName": function, "Principal": "*"})
        };
        let kind = "AWS::Lambda::Permission";
        resources.extend([
            resource(format!("{id}Url"), "AWS::Lambda::Url", Value::Null),
            resource(format!("{id}UrlPublicPermissions"), kind, public("lambda:InvokeFunctionUrl")),
            resource(format!("{id}URLInvokeAllowPublicAccess"), kind, public("lambda:InvokeFunction")),
        ]);
    }
    for (name, event) in fields(&properties["Events"]) {
        resources.extend(event_resources(names, id, &format!("{id}{name}"), &event));
    }
    resources
}

/// The inline policies of a function's role: the declared ones, and one for each queue that gets failed events.
fn policies(id: &str, properties: &Value) -> Vec<Value> {
    let declared = properties["Policies"].as_array().cloned().unwrap_or_default();
    assert!(
        declared.iter().all(|policy| policy["Statement"].is_array()),
        "{id} has a policy that is not written out"
    );
    let events = fields(&properties["Events"]).into_iter().map(|(_, event)| event["Properties"].clone());
    let mut documents = declared;
    for failing in events.chain([properties["EventInvokeConfig"].clone()]) {
        let destination = &failing["DestinationConfig"]["OnFailure"];
        let statement = json!({
            "Action": "sqs:SendMessage", "Effect": "Allow", "Resource": destination["Destination"],
        });
        let document = json!({"Statement": [statement]});
        if destination["Type"] == "SQS" && !documents.contains(&document) {
            documents.push(document);
        }
    }
    documents.into_iter().map(|document| json!({"PolicyDocument": document})).collect()
}

fn event_resources(names: &Names<'_>, function: &str, id: &str, event: &Value) -> Vec<Resource> {
    let properties = &event["Properties"];
    let permission = |principal: &str, source: String| {
        let permission = json!({
            "Action": "lambda:InvokeFunction",
            "FunctionName": names.physical(function, "AWS::Serverless::Function"),
            "Principal": principal,
            "SourceArn": source,
        });
        resource(format!("{id}Permission"), "AWS::Lambda::Permission", permission)
    };
    match event["Type"].as_str().unwrap_or_default() {
        "Schedule" => {
            let rule = json!({"Name": properties["Name"], "Description": properties["Description"]});
            let arn = format!("{}rule/{}", arn("events"), names.physical(id, "AWS::Events::Rule"));
            vec![resource(id, "AWS::Events::Rule", rule), permission("events.amazonaws.com", arn)]
        }
        "DynamoDB" => vec![resource(id, "AWS::Lambda::EventSourceMapping", properties.clone())],
        // The template has no such event. SAM adds one permission for each, which a test of the limits relies on.
        "HttpApi" => {
            let text = |name: &str| properties[name].as_str().expect("a route is text").to_owned();
            let path = without_parameters(&text("Path"), "*");
            let source = format!("{}{}/*/{}{path}", arn("execute-api"), Names::api_id(), text("Method"));
            vec![permission("apigateway.amazonaws.com", source)]
        }
        other => panic!("the expansion of an event of type {other} is unknown"),
    }
}

fn http_api(id: &str, properties: &Value) -> Vec<Resource> {
    let mut body = properties["DefinitionBody"].clone();
    body["info"]["description"] = properties["Description"].clone();
    vec![
        resource(id, "AWS::ApiGatewayV2::Api", json!({"Body": body})),
        resource(format!("{id}ApiGatewayDefaultStage"), "AWS::ApiGatewayV2::Stage", Value::Null),
    ]
}

fn fields(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// An ARN of this service without the resource.
pub fn arn(service: &str) -> String {
    format!("arn:{PARTITION}:{service}:{REGION}:{ACCOUNT}:")
}

/// A name that CloudFormation makes, with at most `max_len` characters.
pub fn generated_name(id: &str, max_len: usize) -> String {
    let tail = format!("-{id}-{}", "x".repeat(SUFFIX_LEN));
    // It shortens the name of the stack first, so that the id still tells resources apart.
    let stack_len = STACK_NAME_LEN.min(max_len.saturating_sub(tail.len()));
    format!("{}{tail}", "s".repeat(stack_len)).chars().take(max_len).collect()
}

/// Evaluates intrinsic functions with every name as long as it can be.
struct Names<'t>(&'t Template);

impl Names<'_> {
    /// The value with every intrinsic function evaluated; null is `AWS::NoValue`.
    fn value(&self, value: &Yaml) -> Value {
        match value {
            Yaml::Tagged(tagged) => self.intrinsic(&tagged.tag.to_string(), &tagged.value),
            Yaml::Sequence(items) => items.iter().map(|item| self.value(item)).collect(),
            Yaml::Mapping(_) => {
                let field = |key: String| (self.value(&value[key.as_str()]), key);
                let fields = keys(value).into_iter().map(field).filter(|(value, _)| !value.is_null());
                Value::Object(fields.map(|(value, key)| (key, value)).collect())
            }
            scalar => serde_json::to_value(scalar).expect("a scalar is JSON"),
        }
    }

    fn intrinsic(&self, tag: &str, argument: &Yaml) -> Value {
        match (tag, argument) {
            ("!Ref", Yaml::String(name)) => self.reference(name),
            ("!GetAtt", Yaml::String(path)) => {
                let (id, attribute) = path.split_once('.').expect("an attribute has a resource");
                self.attribute(id, attribute).into()
            }
            ("!Sub", Yaml::String(text)) => self.substitute(text).into(),
            ("!If", Yaml::Sequence(parts)) => {
                let branches = parts.iter().skip(1).map(|branch| self.value(branch));
                let length = |branch: &Value| if branch.is_null() { 0 } else { branch.to_string().len() };
                branches.max_by_key(length).unwrap_or_default()
            }
            ("!Split", Yaml::Sequence(parts)) => {
                let parts: Vec<_> = parts.iter().map(|part| self.value(part)).collect();
                let [Value::String(separator), Value::String(text)] = &parts[..] else {
                    panic!("!Split has a separator and a text: {parts:?}")
                };
                text.split(separator.as_str()).map(Value::from).collect()
            }
            _ => panic!("{tag} {argument:?} has no longest value"),
        }
    }

    fn substitute(&self, text: &str) -> String {
        let mut parts = text.split("${");
        let mut result = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').expect("`${` has its `}`");
            let value = match name.split_once('.') {
                Some((id, attribute)) => self.attribute(id, attribute),
                None => self.reference(name).as_str().expect("only texts are substituted").to_owned(),
            };
            result = result + &value + rest;
        }
        result
    }

    fn reference(&self, name: &str) -> Value {
        match name {
            "AWS::NoValue" => Value::Null,
            "AWS::StackName" => "s".repeat(STACK_NAME_LEN).into(),
            "AWS::Region" => REGION.into(),
            "AWS::Partition" => PARTITION.into(),
            "AWS::AccountId" => ACCOUNT.into(),
            "AWS::URLSuffix" => URL_SUFFIX.into(),
            _ if self.0.0["Parameters"][name].is_mapping() => self.parameter(name).into(),
            _ => match self.kind(name) {
                "AWS::SecretsManager::Secret" => self.attribute(name, "Arn").into(),
                "AWS::SQS::Queue" => {
                    let queue = self.attribute(name, "QueueName");
                    format!("https://sqs.{REGION}.{URL_SUFFIX}/{ACCOUNT}/{queue}").into()
                }
                kind => self.physical(name, kind).into(),
            },
        }
    }

    fn parameter(&self, name: &str) -> String {
        let declared = &self.0.0["Parameters"][name];
        if let Some((_, pattern, length)) = LONGEST_PARAMETERS.iter().find(|(known, ..)| *known == name) {
            assert_eq!(
                declared["AllowedPattern"].as_str(),
                Some(*pattern),
                "the pattern of {name} has changed: give its longest value here"
            );
            return "p".repeat(*length);
        }
        let values = declared["AllowedValues"].as_sequence().cloned().unwrap_or_default();
        let values = values.iter().chain([&declared["Default"]]).map(|value| self.value(value));
        let texts = values.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        texts.max_by_key(String::len).unwrap_or_default()
    }

    fn attribute(&self, id: &str, attribute: &str) -> String {
        let kind = self.kind(id);
        let name = self.physical(id, kind);
        match (kind, attribute) {
            ("AWS::DynamoDB::Table", "Arn") => format!("{}table/{name}", arn("dynamodb")),
            ("AWS::DynamoDB::Table", "StreamArn") => {
                format!("{}table/{name}/stream/2026-01-01T00:00:00.000", arn("dynamodb"))
            }
            ("AWS::S3::Bucket", "Arn") => format!("arn:{PARTITION}:s3:::{name}"),
            ("AWS::Serverless::Function", "Arn") => format!("{}function:{name}", arn("lambda")),
            ("AWS::SQS::Queue", "Arn") => format!("{}{name}", arn("sqs")),
            ("AWS::SQS::Queue", "QueueName") => name,
            ("AWS::Logs::LogGroup", "Arn") => format!("{}log-group:{name}:*", arn("logs")),
            ("AWS::SecretsManager::Secret", "Arn") => {
                format!("{}secret:{name}{SECRET_SUFFIX}", arn("secretsmanager"))
            }
            _ => panic!("{id}.{attribute} has no longest value"),
        }
    }

    /// The name of a resource: the declared one, or one that CloudFormation makes.
    fn physical(&self, id: &str, kind: &str) -> String {
        let (property, max_len) = match kind {
            "AWS::DynamoDB::Table" => ("TableName", 255),
            "AWS::S3::Bucket" => ("BucketName", 63),
            "AWS::Serverless::Function" => ("FunctionName", 64),
            "AWS::SQS::Queue" => ("QueueName", 80),
            "AWS::Events::Rule" => ("Name", 64),
            "AWS::Logs::LogGroup" => ("LogGroupName", 512),
            "AWS::SecretsManager::Secret" => ("Name", 512),
            "AWS::Serverless::HttpApi" => return Self::api_id().to_owned(),
            kind => panic!("the name of {id}, a {kind}, has no longest value"),
        };
        let declared = self.value(&self.0.0["Resources"][id]["Properties"][property]);
        declared.as_str().map_or_else(|| generated_name(id, max_len), str::to_owned)
    }

    fn kind(&self, id: &str) -> &str {
        self.0.0["Resources"][id]["Type"].as_str().unwrap_or_else(|| panic!("{id} is not in the template"))
    }

    /// An id as API Gateway makes it.
    const fn api_id() -> &'static str {
        "a1b2c3d4e5"
    }
}
