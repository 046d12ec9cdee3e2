//! What a deployment must survive: a first deployment that fails, a redeployment after a removal, an update of the
//! indexes, a change of the log level, and a failure of a scheduled run.

use std::collections::BTreeSet;
use std::fs;

use af_tests::workspace::root;
use serde_norway::{Mapping, Value};

use crate::template::{Template, one_function};

/// The indexes of the last release, in the form of the template.
const RELEASED_INDEXES: &str = "tests/tests/architecture/template/released_indexes.yaml";
/// Indexes that one update of a table may create or delete (CloudFormation).
const MAX_INDEX_CHANGES: usize = 1;
/// Readers of the stream of a table at the same time (DynamoDB), and filters of one mapping (Lambda).
const MAX_STREAM_READERS: usize = 2;
const MAX_FILTERS: usize = 5;

fn properties<'t>(template: &'t Template, id: &str) -> &'t Value {
    let (_, resource) = template.resources().find(|(known, _)| *known == id).expect("the resource exists");
    &resource["Properties"]
}

fn indexes(list: &Value) -> BTreeSet<String> {
    let indexes = list.as_sequence().map(Vec::as_slice).unwrap_or_default();
    indexes.iter().map(|index| serde_norway::to_string(index).expect("an index is YAML")).collect()
}

/// The number of indexes that an update from `released` creates and deletes. An index that changes counts twice.
fn index_changes(released: &Value, template: &Template) -> usize {
    let now = indexes(&properties(template, "Table")["GlobalSecondaryIndexes"]);
    indexes(released).symmetric_difference(&now).count()
}

/// Lambda's own filter passes all log lines, so that `LogLevel` alone decides, and metrics pass at each level. A log group has
/// no fixed name: Lambda makes a group again when late lines come in after its removal, and the next stack could not
/// create it. The access log is an exception, because API Gateway makes no group.
fn log_mistakes(template: &Template) -> Vec<String> {
    let mut wrong = Vec::new();
    for function in template.functions() {
        let logging = &function.properties["LoggingConfig"];
        if logging["LogFormat"].as_str() != Some("JSON")
            || logging["ApplicationLogLevel"].as_str() != Some("DEBUG")
        {
            wrong.push(format!("Lambda drops log lines of {}", function.id));
        }
    }
    for (id, resource) in template.resources() {
        let named = !resource["Properties"]["LogGroupName"].is_null();
        if resource["Type"].as_str() == Some("AWS::Logs::LogGroup") && named && id != "ApiLogGroup" {
            wrong.push(format!("{id} has a fixed name"));
        }
    }
    wrong
}

/// A function with a schedule sends a failed run to the failure queue.
fn schedule_mistakes(template: &Template) -> Vec<String> {
    let functions = template.functions();
    let scheduled = functions.iter().filter(|function| !function.events("Schedule").is_empty());
    let silent = scheduled.filter(|f| {
        f.properties["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]["Type"].as_str() != Some("SQS")
    });
    silent.map(|function| format!("a failed run of {} is lost", function.id)).collect()
}

#[test]
fn an_update_from_the_last_release_changes_at_most_one_index() {
    let released = fs::read_to_string(root().join(RELEASED_INDEXES)).expect("the released indexes are there");
    let released: Value = serde_norway::from_str(&released).expect("the released indexes are YAML");
    assert!(index_changes(&released, &Template::real()) <= MAX_INDEX_CHANGES);
    let none = Value::Sequence(Vec::new());
    let all = index_changes(&none, &Template::real());
    assert!(all > MAX_INDEX_CHANGES, "the rule sees {all} new indexes");
    let renamed = Template::real_with("- IndexName: ready\n", "- IndexName: waiting\n");
    assert_eq!(
        index_changes(&released, &renamed),
        2,
        "an index under another name is a removal and a creation"
    );
}

#[test]
fn the_alarm_of_throttles_watches_the_table_and_every_index() {
    let template = Template::real();
    let metrics =
        properties(&template, "TableThrottlesAlarm")["Metrics"].as_sequence().expect("it has metrics");
    let mut watched = BTreeSet::new();
    for metric in metrics.iter().map(|m| &m["MetricStat"]["Metric"]) {
        let dimensions = metric["Dimensions"].as_sequence().map(Vec::as_slice).unwrap_or_default();
        let index = dimensions.iter().find(|d| d["Name"].as_str() == Some("GlobalSecondaryIndexName"));
        let index = index.and_then(|d| d["Value"].as_str()).unwrap_or_default();
        watched.extend(metric["MetricName"].as_str().map(|name| (index.to_owned(), name.to_owned())));
    }
    let declared =
        properties(&template, "Table")["GlobalSecondaryIndexes"].as_sequence().expect("it has indexes");
    let names = declared.iter().filter_map(|index| index["IndexName"].as_str()).chain([""]);
    let wanted: BTreeSet<_> = names
        .flat_map(|name| {
            ["ReadThrottleEvents", "WriteThrottleEvents"].map(|m| (name.to_owned(), m.to_owned()))
        })
        .collect();
    assert_eq!(watched, wanted);
}

#[test]
fn log_levels_lose_no_metrics_and_log_groups_block_no_redeployment() {
    assert_eq!(log_mistakes(&Template::real()), [""; 0]);
    assert_eq!(
        log_mistakes(&one_function("{LoggingConfig: {LogFormat: JSON}}")),
        ["Lambda drops log lines of Worker"]
    );
    let named = Template::of("Resources:\n  G: {Type: AWS::Logs::LogGroup, Properties: {LogGroupName: x}}\n");
    assert_eq!(log_mistakes(&named), ["G has a fixed name"]);
}

#[test]
fn a_failed_scheduled_run_goes_to_the_failure_queue() {
    assert_eq!(schedule_mistakes(&Template::real()), [""; 0]);
    let silent = one_function("{Events: {Tick: {Type: Schedule, Properties: {}}}}");
    assert_eq!(schedule_mistakes(&silent), ["a failed run of Worker is lost"]);
}

#[test]
fn the_stream_has_at_most_two_readers_with_five_filters_each() {
    let template = Template::real();
    let functions = template.functions();
    let mappings: Vec<&Value> = functions.iter().flat_map(|function| function.events("DynamoDB")).collect();
    assert!((1..=MAX_STREAM_READERS).contains(&mappings.len()), "{}", mappings.len());
    for mapping in mappings {
        let filters = mapping["FilterCriteria"]["Filters"].as_sequence().map_or(0, Vec::len);
        assert!((1..=MAX_FILTERS).contains(&filters), "{filters}");
    }
}

#[test]
fn the_api_limits_requests_and_its_log_has_the_ids_of_the_other_logs() {
    let template = Template::real();
    let api = properties(&template, "HttpApi");
    let limits = api["DefaultRouteSettings"].as_mapping().map(Mapping::len);
    assert_eq!(limits, Some(2), "a rate and a burst");
    let format = api["AccessLogSettings"]["Format"].as_str().expect("the access log has a format");
    let format: serde_json::Value = serde_json::from_str(format).expect("the format is JSON");
    assert_eq!(format["requestId"], "$context.requestId");
    assert_eq!(format["functionRequestId"], "$context.integration.requestId");
}
