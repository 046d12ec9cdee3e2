//! Whole templates.

use serde_json::json;

use super::*;
use crate::stream::filter::Pattern;

mod intrinsics;
mod resources;

/// A template with the structure of the real one: parameters, globals, a table with a stream and an index, three
/// functions.
const TEMPLATE: &str = r##"
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: dev, AllowedValues: [dev, prod]}
  Rate: {Type: String, Default: rate(1 minute)}
  Batch: {Type: Number, Default: 25}
  AlarmTopic: {Type: String}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
Globals:
  Function:
    Timeout: 10
    Environment:
      Variables: {TABLE_NAME: !Ref Table, RUST_LOG: info, EXTRA: global}
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions:
        - {AttributeName: pk, AttributeType: S}
        - {AttributeName: sk, AttributeType: S}
        - {AttributeName: rp, AttributeType: S}
      KeySchema: [{AttributeName: pk, KeyType: HASH}, {AttributeName: sk, KeyType: RANGE}]
      GlobalSecondaryIndexes:
        - IndexName: ready
          KeySchema: [{AttributeName: rp, KeyType: HASH}]
          Projection: {ProjectionType: KEYS_ONLY}
          ContributorInsightsSpecification: {Enabled: true}
      StreamSpecification: {StreamViewType: NEW_AND_OLD_IMAGES}
      TimeToLiveSpecification: {AttributeName: ttl, Enabled: true}
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}
      SSESpecification: {KMSMasterKeyId: !Ref SomethingUnknown}
  Bucket:
    Type: AWS::S3::Bucket
  Key:
    Type: AWS::SecretsManager::Secret
    Properties: {Name: !Sub 'agent-factory/${Stage}/key'}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      DefinitionBody:
        openapi: 3.0.1
        info: {title: !Ref AWS::StackName, version: '1.0'}
        paths:
          /healthz:
            get: {x-amazon-apigateway-integration: {$ref: '#/components/x-amazon-apigateway-integrations/Webhook'}, responses: {}}
          /{pathPrefix}/telegram/webhook/{botIdentity}:
            post: {x-amazon-apigateway-integration: {$ref: '#/components/x-amazon-apigateway-integrations/Webhook'}, responses: {}}
        components:
          x-amazon-apigateway-integrations:
            Webhook:
              type: aws_proxy
              uri: !Sub 'arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${WebhookFunction.Arn}/invocations'
  WebhookFunction:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: rust-cargolambda, BuildProperties: {Binary: webhook}}
    Properties:
      Policies:
        - Version: '2012-10-17'
          Statement:
            - {Sid: Table, Effect: Allow, Action: [dynamodb:GetItem, dynamodb:Query], Resource: !GetAtt Table.Arn}
            - {Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: [!Ref Key, !Sub '${Bucket.Arn}/*']}
      Environment:
        Variables: {BUCKET_NAME: !Ref Bucket, EXTRA: own, LIMIT: 3}
  ReconcileFunction:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: rust-cargolambda, BuildProperties: {Binary: reconcile}}
    Properties:
      Timeout: 60
      Environment:
        Variables: {EXTRA: !If [IsProd, prod only, !Ref AWS::NoValue]}
      Events:
        Ready:
          Type: DynamoDB
          Properties:
            Stream: !GetAtt Table.StreamArn
            StartingPosition: LATEST
            BatchSize: !Ref Batch
            MaximumBatchingWindowInSeconds: 1
            BisectBatchOnFunctionError: true
            MaximumRetryAttempts: 5
            FunctionResponseTypes: [ReportBatchItemFailures]
            DestinationConfig: {OnFailure: {Destination: !GetAtt Unknown.Arn}}
            FilterCriteria:
              Filters:
                - Pattern: '{"dynamodb": {"Keys": {"pk": {"S": [{"prefix": "C#"}]}}}}'
        Tick:
          Type: Schedule
          Properties: {Schedule: !Ref Rate, Enabled: true, Input: '{"kind": "tick"}'}
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties: {AlarmActions: [!Ref AlarmTopic]}
"##;

fn parse(yaml: &str) -> Result<Template, TemplateError> {
    Template::parse(yaml, &BTreeMap::new())
}

fn given(parameters: &[(&str, &str)]) -> BTreeMap<String, String> {
    parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn function<'t>(template: &'t Template, logical_id: &str) -> &'t FunctionDef {
    template.functions.iter().find(|function| function.logical_id == logical_id).unwrap()
}

/// The template without the block that begins with the line `first`.
fn without(first: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = Vec::new();
    let mut cut = None;
    for line in TEMPLATE.lines() {
        if cut.is_some_and(|depth| indent(line) > depth) {
            continue;
        }
        cut = (line.trim_start() == first).then(|| indent(line));
        if cut.is_none() {
            lines.push(line);
        }
    }
    assert!(lines.len() < TEMPLATE.lines().count(), "no block {first}");
    lines.join("\n")
}

/// A template with one resource.
fn resource(body: &str) -> String {
    format!("Resources:\n  Thing: {body}")
}

/// A function with one event.
fn event(body: &str) -> String {
    let table = "{Type: AWS::DynamoDB::Table, Properties: {AttributeDefinitions: [a], KeySchema: [a], \
                 StreamSpecification: {StreamViewType: KEYS_ONLY}}}";
    format!(
        "Resources:\n  Table: {table}\n  Fn: {{Type: AWS::Serverless::Function, Metadata: {{BuildProperties: \
         {{Binary: fn}}}}, Properties: {{Events: {{It: {body}}}}}}}"
    )
}

/// The value of the environment variable `A` in a template with these sections.
fn variable(value: &str, sections: &str) -> Result<Option<String>, TemplateError> {
    let template = format!(
        "{sections}\nResources:\n  Table: {{Type: AWS::DynamoDB::Table, Properties: {{AttributeDefinitions: [a], \
         KeySchema: [a], TableName: main}}}}\n  Bucket: {{Type: AWS::S3::Bucket}}\n  Topic: {{Type: AWS::SNS::Topic}}\n  \
         Api: {{Type: AWS::Serverless::HttpApi, Properties: {{DefinitionBody: {{paths: {{}}}}}}}}\n  Fn: {{Type: AWS::Serverless::Function, Metadata: \
         {{BuildProperties: {{Binary: fn}}}}, Properties: {{Environment: {{Variables: {{A: {value}}}}}}}}}"
    );
    let template = parse(&template)?;
    Ok(function(&template, "Fn").environment.get("A").cloned())
}

fn route(method: &str, path: &str) -> EventDef {
    EventDef::HttpApi { method: method.parse().unwrap(), path: path.to_owned() }
}

fn problem(result: Result<impl std::fmt::Debug, TemplateError>) -> (String, String) {
    match result.unwrap_err() {
        TemplateError::At { place, problem } => (place.to_string(), problem),
        other => panic!("{other}"),
    }
}

#[test]
fn a_table_becomes_a_create_table_request() {
    let template = parse(TEMPLATE).unwrap();
    let [table] = template.tables.as_slice() else { panic!("{:?}", template.tables) };
    assert_eq!(table.name, "agent-factory-Table");
    assert_eq!(table.ttl_attribute.as_deref(), Some("ttl"));
    let expected = json!({
        "TableName": "agent-factory-Table",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
            {"AttributeName": "rp", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "GlobalSecondaryIndexes": [{
            "IndexName": "ready",
            "KeySchema": [{"AttributeName": "rp", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }],
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    });
    assert_eq!(table.create_table, expected);
    assert_eq!(template.buckets, ["agent-factory-bucket"]);
}

#[test]
fn a_function_has_its_binary_timeout_and_environment_over_the_globals() {
    let template = parse(TEMPLATE).unwrap();
    let webhook = function(&template, "WebhookFunction");
    assert_eq!((webhook.binary.as_str(), webhook.timeout), ("webhook", Millis::from_secs(10)));
    let environment = given(&[
        ("TABLE_NAME", "agent-factory-Table"),
        ("RUST_LOG", "info"),
        ("EXTRA", "own"),
        ("BUCKET_NAME", "agent-factory-bucket"),
        ("LIMIT", "3"),
    ]);
    assert_eq!(webhook.environment, environment);
    let reconcile = function(&template, "ReconcileFunction");
    assert_eq!((reconcile.binary.as_str(), reconcile.timeout), ("reconcile", Millis::from_secs(60)));
    assert!(!reconcile.environment.contains_key("EXTRA"), "AWS::NoValue hides the global one");
}

#[test]
fn events_are_read_with_all_their_properties() {
    let template = parse(TEMPLATE).unwrap();
    let routes = [route("GET", "/healthz"), route("POST", "/{pathPrefix}/telegram/webhook/{botIdentity}")];
    assert_eq!(function(&template, "WebhookFunction").events, routes);
    let filter = json!({"dynamodb": {"Keys": {"pk": {"S": [{"prefix": "C#"}]}}}});
    let stream = EventDef::Stream(Mapping {
        id: "ReconcileFunctionReady".into(),
        table: "agent-factory-Table".into(),
        batch_size: 25,
        window: Millis::from_secs(1),
        filters: vec![Pattern::compile(&filter).unwrap()],
        max_retries: Some(5),
        bisect: true,
        report_batch_item_failures: true,
    });
    let tick = EventDef::Schedule(ScheduleDef {
        name: "ReconcileFunctionTick".into(),
        every: Millis::from_secs(60),
        enabled: true,
        input: Some(json!({"kind": "tick"})),
    });
    assert_eq!(function(&template, "ReconcileFunction").events, [stream, tick]);
}

#[test]
fn a_resource_that_is_removed_from_the_text_is_not_declared() {
    let no_route = parse(&without("/{pathPrefix}/telegram/webhook/{botIdentity}:")).unwrap();
    assert_eq!(function(&no_route, "WebhookFunction").events, [route("GET", "/healthz")]);
    let no_schedule = parse(&without("Tick:")).unwrap();
    assert!(matches!(function(&no_schedule, "ReconcileFunction").events.as_slice(), [EventDef::Stream(_)]));
    let no_stream = parse(&without("Ready:")).unwrap();
    let [EventDef::Schedule(_)] = function(&no_stream, "ReconcileFunction").events.as_slice() else {
        panic!("{no_stream:?}");
    };
    let no_index = parse(&without("GlobalSecondaryIndexes:")).unwrap();
    assert_eq!(no_index.tables[0].create_table.get("GlobalSecondaryIndexes"), None);
    let no_function = parse(&without("ReconcileFunction:")).unwrap();
    assert_eq!(no_function.functions.len(), 1);
    let no_function_of_a_route = parse(&without("WebhookFunction:"));
    assert_eq!(problem(no_function_of_a_route).1, "unknown reference `WebhookFunction`");
    let no_bucket = parse(&without("Bucket:"));
    assert_eq!(problem(no_bucket).1, "unknown reference `Bucket`");
}

#[test]
fn parameters_and_conditions_change_what_is_declared() {
    let parameters = given(&[("Stage", "prod"), ("Rate", "rate(2 hours)"), ("Batch", "7")]);
    let template = Template::parse(TEMPLATE, &parameters).unwrap();
    let reconcile = function(&template, "ReconcileFunction");
    assert_eq!(reconcile.environment["EXTRA"], "prod only");
    assert!(matches!(&reconcile.events[0], EventDef::Stream(Mapping { batch_size: 7, .. })));
    let every = Millis::from_secs(7_200);
    assert!(matches!(&reconcile.events[1], EventDef::Schedule(def) if def.every == every));
}

#[test]
fn a_wrong_parameter_is_refused() {
    let unknown = Template::parse(TEMPLATE, &given(&[("Sage", "dev")])).unwrap_err();
    assert!(matches!(unknown, TemplateError::UnknownParameter(name) if name == "Sage"));
    let (place, refused) = problem(Template::parse(TEMPLATE, &given(&[("Stage", "test")])));
    assert_eq!(place, "Parameters: Stage");
    assert_eq!(refused, "`test` is not an allowed value");
}

#[test]
fn a_resource_whose_condition_is_false_does_not_exist() {
    let text = "
Conditions: {Never: !Equals [a, b], Always: !Not [!Condition Never]}
Resources:
  One: {Type: AWS::S3::Bucket, Condition: Never}
  Two: {Type: AWS::S3::Bucket, Condition: Always}
  Three: {Type: AWS::Lambda::Function, Condition: Never}
";
    let template = parse(text).unwrap();
    assert_eq!(template.buckets, ["agent-factory-two"]);
    let used = format!("{text}  Four: {{Type: AWS::S3::Bucket, Properties: {{BucketName: !Ref One}}}}");
    let (place, inactive) = problem(parse(&used));
    assert_eq!(place, "Four: BucketName");
    assert_eq!(inactive, "`One` does not exist: its condition is false");
}

#[test]
fn the_statements_of_a_function_are_read_with_the_arns_of_their_resources() {
    let template = parse(TEMPLATE).unwrap();
    let statement = |actions: &[&str], resources: &[&str]| StatementDef {
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        resources: resources.iter().map(|resource| (*resource).to_owned()).collect(),
    };
    let table = "arn:aws:dynamodb:local:000000000000:table/agent-factory-Table";
    let key = "arn:aws:secretsmanager:local:000000000000:secret:agent-factory/dev/key-??????";
    assert_eq!(
        function(&template, "WebhookFunction").statements,
        [
            statement(&["dynamodb:GetItem", "dynamodb:Query"], &[table]),
            statement(&["secretsmanager:GetSecretValue"], &[key, "arn:aws:s3:::agent-factory-bucket/*"]),
        ]
    );
    assert!(function(&template, "ReconcileFunction").statements.is_empty());
}

#[test]
fn a_statement_that_is_not_evaluated_is_an_error() {
    let with = |from: &str, to: &str| parse(&TEMPLATE.replace(from, to)).unwrap_err().to_string();
    let denial = with("Sid: Table, Effect: Allow", "Sid: Table, Effect: Deny");
    assert_eq!(denial, "WebhookFunction: Policies.0.Statement.0.Effect: expected Allow, found \"Deny\"");
    let condition = with("Sid: Table, ", "Condition: {}, ");
    assert!(condition.contains("Statement.0.Condition"), "{condition}");
    let without_resource = with(", Resource: !GetAtt Table.Arn", "");
    assert!(without_resource.ends_with("Statement.0.Resource: it is required"), "{without_resource}");
}
