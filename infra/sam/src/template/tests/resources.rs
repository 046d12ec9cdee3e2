//! Valid and invalid properties of single resources and events.

use super::*;

#[test]
fn resources_that_the_local_stack_does_not_support_are_refused() {
    for kind in UNSUPPORTED {
        let (place, refused) = problem(parse(&resource(&format!("{{Type: '{kind}'}}"))));
        assert_eq!(place, "Thing");
        assert_eq!(refused, format!("resources of type {kind} are not run locally"));
    }
    assert_eq!(problem(parse(&resource("{Properties: {}}"))).0, "Thing: Type");
    let looped = problem(parse("Resources: {'Fn::ForEach::Tables': []}"));
    assert_eq!(looped.1, "unsupported intrinsic function `Fn::ForEach::Tables`");
}

#[test]
fn a_table_needs_keys_and_a_stream_needs_a_view() {
    let table = |properties: &str| {
        parse(&resource(&format!("{{Type: AWS::DynamoDB::Table, Properties: {properties}}}")))
    };
    assert_eq!(problem(table("{}")).0, "Thing: KeySchema");
    assert_eq!(problem(table("{KeySchema: [k]}")).0, "Thing: AttributeDefinitions");
    let keys = "KeySchema: [k], AttributeDefinitions: [a]";
    let index = table(&format!("{{{keys}, GlobalSecondaryIndexes: [{{KeySchema: [k]}}]}}"));
    assert_eq!(problem(index).0, "Thing: GlobalSecondaryIndexes.0.IndexName");
    let stream = table(&format!("{{{keys}, StreamSpecification: {{}}}}"));
    assert_eq!(problem(stream).0, "Thing: StreamSpecification.StreamViewType");
    let off = "TimeToLiveSpecification: {AttributeName: ttl, Enabled: false}";
    let disabled = table(&format!("{{{keys}, {off}}}")).unwrap();
    assert_eq!(disabled.tables[0].ttl_attribute, None);
}

#[test]
fn a_function_needs_a_binary_and_a_valid_timeout() {
    let (place, missing) = problem(parse(&resource("{Type: AWS::Serverless::Function}")));
    assert_eq!(place, "Thing: Metadata.BuildProperties");
    assert_eq!(missing, "it is required");
    let metadata = "Metadata: {BuildProperties: {Binary: b}}";
    let function =
        |rest: &str| parse(&resource(&format!("{{Type: AWS::Serverless::Function, {metadata}{rest}}}")));
    let plain = function("").unwrap();
    assert_eq!(plain.functions[0].timeout, Millis::from_secs(3), "Lambda's default");
    let timeout = |value: &str| problem(function(&format!(", Properties: {{Timeout: {value}}}"))).1;
    assert_eq!(timeout("901"), "901 is not within 1..=900");
    assert_eq!(timeout("soon"), "expected a whole number, found \"soon\"");
}

#[test]
fn schedules_of_both_kinds_can_be_disabled() {
    let schedule = |body: &str| {
        let template = parse(&event(body)).unwrap();
        let EventDef::Schedule(def) = function(&template, "Fn").events[0].clone() else { panic!() };
        (def.name, def.enabled, def.input)
    };
    let rule = "{Type: Schedule, Properties: {Schedule: rate(1 hour), Name: hourly}}";
    assert_eq!(schedule(rule), ("hourly".into(), true, None));
    let off = "{Type: Schedule, Properties: {Schedule: rate(1 hour), Enabled: 'false'}}";
    assert_eq!(schedule(off), ("FnIt".into(), false, None));
    let scheduler = "{Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 hour), State: DISABLED}}";
    assert_eq!(schedule(scheduler), ("FnIt".into(), false, None));
}

#[test]
fn a_stream_mapping_has_lambdas_defaults_and_can_be_disabled() {
    let mapping = |rest: &str| {
        let body = "Stream: !GetAtt Table.StreamArn, StartingPosition: TRIM_HORIZON";
        parse(&event(&format!("{{Type: DynamoDB, Properties: {{{body}{rest}}}}}")))
    };
    let plain = mapping("").unwrap();
    let defaults = EventDef::Stream(Mapping {
        id: "FnIt".into(),
        table: "agent-factory-Table".into(),
        batch_size: 100,
        window: Millis::default(),
        filters: Vec::new(),
        max_retries: None,
        bisect: false,
        report_batch_item_failures: false,
    });
    assert_eq!(function(&plain, "Fn").events, [defaults]);
    assert!(function(&mapping(", Enabled: false").unwrap(), "Fn").events.is_empty());
    let endless = mapping(", MaximumRetryAttempts: -1").unwrap();
    assert!(matches!(
        function(&endless, "Fn").events[0],
        EventDef::Stream(Mapping { max_retries: None, .. })
    ));
    let (place, refused) = problem(mapping(", BatchSize: 0"));
    assert_eq!(place, "Fn: Events.It.Properties.BatchSize");
    assert_eq!(refused, "0 is not within 1..=10000");
    let tumbling = problem(mapping(", TumblingWindowInSeconds: 9")).1;
    assert_eq!(tumbling, "events of type DynamoDB with a tumbling window are not delivered locally");
    let types = problem(mapping(", FunctionResponseTypes: [Other]")).1;
    assert_eq!(types, "expected ReportBatchItemFailures, found \"Other\"");
}

#[test]
fn an_unsupported_filter_is_refused_when_the_template_is_read() {
    let filtered = |pattern: &str| {
        let filters = format!("FilterCriteria: {{Filters: [{{Pattern: '{pattern}'}}]}}");
        let body = "Stream: !GetAtt Table.StreamArn, StartingPosition: LATEST";
        problem(parse(&event(&format!("{{Type: DynamoDB, Properties: {{{body}, {filters}}}}}"))))
    };
    let (place, refused) = filtered(r#"{"dynamodb": {"a": [{"wildcard": "x*"}]}}"#);
    assert_eq!(place, "Fn: Events.It.Properties.FilterCriteria.Filters.0.Pattern");
    let operator = "the pattern for `dynamodb.a` uses the unsupported operator `wildcard`";
    assert_eq!(refused, format!("it is no filter pattern: {operator}"));
    assert!(filtered("{").1.starts_with("it is not JSON: "));
}

#[test]
fn an_event_that_cannot_be_delivered_is_refused() {
    let refused = |body: &str| problem(parse(&event(body)));
    let (place, kind) = refused("{Type: SQS, Properties: {Queue: q}}");
    assert_eq!(place, "Fn: Events.It.Type");
    assert_eq!(kind, "events of type SQS are not delivered locally");
    let cron = refused("{Type: Schedule, Properties: {Schedule: cron(0 12 * * ? *)}}");
    assert!(cron.1.starts_with("`cron(0 12 * * ? *)` is not a schedule that runs locally: "));
    let route = refused("{Type: HttpApi, Properties: {Method: GET, Path: /}}");
    assert_eq!(route.1, "events of type HttpApi are not delivered locally", "the API declares routes");
    let stream = "Stream: arn:aws:dynamodb:x, StartingPosition: LATEST";
    let elsewhere = refused(&format!("{{Type: DynamoDB, Properties: {{{stream}}}}}")).1;
    assert_eq!(elsewhere, "`arn:aws:dynamodb:x` is not the stream of a table in this template");
    assert_eq!(refused("{Type: Schedule}").1, "it is required");
    let input = refused("{Type: Schedule, Properties: {Schedule: rate(1 hour), Input: x}}").1;
    assert!(input.starts_with("it is not JSON: "), "{input}");
}

/// A template with an HTTP API of these paths. Its integration `Fn` invokes a function.
fn api(paths: &str, uri: &str) -> String {
    format!(
        "Resources:\n  Fn: {{Type: AWS::Serverless::Function, Metadata: {{BuildProperties: {{Binary: fn}}}}}}\n  \
         Api: {{Type: AWS::Serverless::HttpApi, Properties: {{DefinitionBody: {{paths: {paths}, components: \
         {{x-amazon-apigateway-integrations: {{Fn: {{type: aws_proxy, uri: !Sub '{uri}'}}}}}}}}}}}}"
    )
}

const URI: &str = "arn:aws:apigateway:local:lambda:path/2015-03-31/functions/${Fn.Arn}/invocations";
const OPERATION: &str =
    "{x-amazon-apigateway-integration: {$ref: '#/components/x-amazon-apigateway-integrations/Fn'}}";

#[test]
fn the_routes_of_the_api_are_events_of_the_function_that_their_integration_invokes() {
    let paths = format!("{{'/a': {{get: {OPERATION}, x-amazon-apigateway-any-method: {OPERATION}}}}}");
    let template = parse(&api(&paths, URI)).unwrap();
    assert_eq!(function(&template, "Fn").events, [route("GET", "/a"), route("ANY", "/a")]);
}

#[test]
fn a_route_that_cannot_be_served_is_refused() {
    let refused = |paths: String, uri: &str| problem(parse(&api(&paths, uri)));
    for method in ["GET", "any", "fetch", "parameters"] {
        let (place, refused) = refused(format!("{{'/a': {{{method}: {OPERATION}}}}}"), URI);
        assert_eq!(place, "Api: DefinitionBody.paths./a");
        assert_eq!(refused, format!("it is no route: `{method}` is no method for a route"));
    }
    let path = refused(format!("{{'/{{a': {{get: {OPERATION}}}}}"), URI);
    assert!(path.1.starts_with("it is no route: `/{a` is no path for a route: "), "{}", path.1);
    let inline = "{x-amazon-apigateway-integration: {type: aws_proxy}}";
    assert_eq!(refused(format!("{{'/a': {{get: {inline}}}}}"), URI).1, "it is required");
    let unknown = refused(format!("{{'/a': {{get: {}}}}}", OPERATION.replace("Fn", "Gn")), URI);
    assert!(unknown.1.starts_with("unknown reference `#/components/"), "{}", unknown.1);
    let (place, elsewhere) = refused("{}".to_owned(), "arn:aws:lambda:${Fn.Arn}");
    assert_eq!(place, "Api: DefinitionBody.components.x-amazon-apigateway-integrations.Fn.uri");
    assert!(elsewhere.ends_with("does not invoke a function of this template"), "{elsewhere}");
    let proxy = parse(&api("{}", URI).replace("aws_proxy", "http_proxy"));
    assert_eq!(problem(proxy).1, "expected aws_proxy, found \"http_proxy\"");
    let body = parse(&resource("{Type: AWS::Serverless::HttpApi, Properties: {DefinitionUri: s3://a/b}}"));
    assert_eq!(problem(body).0, "Thing: DefinitionBody");
}
