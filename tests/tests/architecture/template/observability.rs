//! Metrics, alarms, dashboard and runbook belong together: `enum Metric` is the list of metrics, an alarm watches a
//! metric that exists, the dashboard shows all metrics, and the runbook explains all metrics and alarms.

use std::collections::BTreeSet;
use std::fs;

use af_runtime::metric::{Metric, Statistic};
use af_tests::workspace::{Workspace, root};
use serde_json::{Value as Json, json};
use serde_norway::Value;

use crate::template::Template;

const TEMPLATE: &str = "infra/template.yaml";
const RUNBOOK: &str = "docs/runbook.md";
/// If this variable is set, the test of the dashboard and of the table of metrics writes them.
const UPDATE: &str = "UPDATE_DOCS";
/// The namespace of our metrics.
const NAMESPACE: &str = "AgentFactory/${DeploymentId}";
/// The line of the template before the widgets of the dashboard, and the indentation of the widgets.
const DASHBOARD: &str = "      DashboardBody: !Sub >-\n";
const INDENT: &str = "        ";
/// The head of the table of metrics in the runbook.
const METRICS_HEAD: &str = "| Metric | Unit | Statistic | Meaning |\n|---|---|---|---|\n";
/// Seconds of one point on the dashboard.
const PERIOD: u64 = 300;
/// Columns of the dashboard, and the size of a widget.
const COLUMNS: usize = 24;
const WIDTH: usize = 8;
const HEIGHT: usize = 6;
/// The most metrics in the formula of an alarm (CloudWatch).
const MAX_ALARM_METRICS: usize = 10;

fn alarms(template: &Template) -> Vec<(&str, &Value)> {
    let alarms = template.resources().filter(|(_, r)| r["Type"].as_str() == Some("AWS::CloudWatch::Alarm"));
    alarms.map(|(id, alarm)| (id, &alarm["Properties"])).collect()
}

fn sub(value: &Value) -> Option<&str> {
    let Value::Tagged(tagged) = value else { return None };
    tagged.value.as_str().filter(|_| tagged.tag == "Sub")
}

/// An alarm on one of our metrics names a metric that exists, with its statistic. Each alarm notifies the topic when it
/// begins and when it ends, and is silent while there are no values.
fn alarm_mistakes(template: &Template) -> Vec<String> {
    let mut wrong = Vec::new();
    for (id, alarm) in alarms(template) {
        if sub(&alarm["Namespace"]) == Some(NAMESPACE) {
            let metric = alarm["MetricName"].as_str().and_then(Metric::of_name);
            let statistic = alarm["Statistic"].as_str();
            if metric.is_none_or(|metric| statistic != Some(metric.statistic().as_str())) {
                wrong.push(format!("{id} watches no metric of ours, or with another statistic"));
            }
        }
        let topic: Value =
            serde_norway::from_str("!If [HasAlarmTopic, [!Ref AlarmTopicArn], !Ref AWS::NoValue]")
                .expect("the text is YAML");
        if alarm["AlarmActions"] != topic || alarm["OKActions"] != topic {
            wrong.push(format!("{id} does not notify the topic"));
        }
        if alarm["TreatMissingData"].as_str() != Some("notBreaching") {
            wrong.push(format!("{id} begins when there are no values"));
        }
        let metrics = alarm["Metrics"]
            .as_sequence()
            .map_or(0, |m| m.iter().filter(|m| m["Expression"].is_null()).count());
        if metrics > MAX_ALARM_METRICS {
            wrong.push(format!("{id} has {metrics} metrics, more than {MAX_ALARM_METRICS}"));
        }
    }
    wrong
}

/// The alarms without a section in the runbook, and the sections without an alarm. A section says what the alarm means,
/// where to look first, and how to fix it.
fn runbook_mistakes(template: &Template, runbook: &str) -> Vec<String> {
    let ids: BTreeSet<&str> = alarms(template).into_iter().map(|(id, _)| id).collect();
    let section = runbook.split("\n### ").skip(1);
    let sections: Vec<(&str, &str)> = section.filter_map(|section| section.split_once('\n')).collect();
    let titles: BTreeSet<&str> = sections.iter().map(|(title, _)| *title).collect();
    let mut wrong: Vec<String> = ids.difference(&titles).map(|id| format!("{id} has no section")).collect();
    wrong.extend(titles.difference(&ids).map(|title| format!("{title} is no alarm")));
    for (title, text) in sections {
        for part in ["**Meaning.**", "**Look first.**", "**Fix.**"] {
            if !text.contains(part) {
                wrong.push(format!("the section of {title} has no {part}"));
            }
        }
    }
    wrong
}

/// The metrics that no code records.
fn unrecorded(sources: &str) -> Vec<&'static str> {
    let recorded = |metric: &Metric| {
        let name = format!("Metric::{}", metric.name());
        sources.split(&name).skip(1).any(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
    };
    Metric::ALL.iter().filter(|metric| !recorded(metric)).map(|metric| metric.name()).collect()
}

fn metric_rows() -> String {
    let row = |metric: &Metric| {
        let (name, unit, statistic) = (metric.name(), metric.unit().as_str(), metric.statistic().as_str());
        format!("| `{name}` | {unit} | {statistic} | {} |\n", metric.meaning())
    };
    Metric::ALL.iter().map(row).collect()
}

fn widget(title: &str, metrics: Vec<Json>) -> Json {
    json!({
        "type": "metric", "width": WIDTH, "height": HEIGHT,
        "properties": {"title": title, "region": "${AWS::Region}", "period": PERIOD, "metrics": metrics},
    })
}

/// A line on the dashboard.
fn line(namespace: &str, name: &str, dimensions: &[(&str, &str)], stat: &str) -> Json {
    let mut metric = vec![json!(namespace), json!(name)];
    metric.extend(dimensions.iter().flat_map(|(dimension, value)| [json!(dimension), json!(value)]));
    metric.push(json!({"stat": stat}));
    Json::Array(metric)
}

/// The widgets of the dashboard: one for each group of metrics, then those of AWS's own metrics.
fn widgets(template: &Template) -> Vec<Json> {
    let mut groups: Vec<&str> = Metric::ALL.iter().map(|metric| metric.group()).collect();
    groups.dedup();
    let of_group = |group: &&str| {
        let members = Metric::ALL.iter().filter(|metric| metric.group() == *group);
        let lines = members.map(|metric| line(NAMESPACE, metric.name(), &[], metric.statistic().as_str()));
        widget(group, lines.collect())
    };
    let mut widgets: Vec<Json> = groups.iter().map(of_group).collect();
    let api = [("ApiId", "${HttpApi}")];
    let api_counts = ["Count", "4xx", "5xx"].map(|name| line("AWS/ApiGateway", name, &api, "Sum"));
    widgets.push(widget("HTTP API: requests", api_counts.to_vec()));
    widgets.push(widget("HTTP API: latency", vec![line("AWS/ApiGateway", "Latency", &api, "p95")]));
    for name in ["Errors", "Throttles", "Duration"] {
        let stat = if name == "Duration" { "p95" } else { "Sum" };
        let functions = template.functions();
        let of = |id: &str| line("AWS/Lambda", name, &[("FunctionName", &format!("${{{id}}}"))], stat);
        let lines = functions.iter().map(|function| of(function.id)).collect();
        widgets.push(widget(&format!("Functions: {}", name.to_lowercase()), lines));
    }
    let table = ("TableName", "${Table}");
    let capacity = ["ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"];
    widgets.push(widget(
        "Table: units",
        capacity.map(|name| line("AWS/DynamoDB", name, &[table], "Sum")).to_vec(),
    ));
    let operations =
        ["GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"];
    let requests = operations.map(|operation| {
        line("AWS/DynamoDB", "SuccessfulRequestLatency", &[table, ("Operation", operation)], "SampleCount")
    });
    widgets.push(widget("Table: requests by operation", requests.to_vec()));
    let ages = ["Reconcile", "Effects"]
        .map(|id| line("AWS/Lambda", "IteratorAge", &[("FunctionName", &format!("${{{id}}}"))], "Maximum"));
    widgets.push(widget("Table stream: age", ages.to_vec()));
    for (number, widget) in widgets.iter_mut().enumerate() {
        let per_row = COLUMNS / WIDTH;
        widget["x"] = json!(number % per_row * WIDTH);
        widget["y"] = json!(number / per_row * HEIGHT);
    }
    widgets
}

/// The property `DashboardBody`, one line for each widget.
fn dashboard_text(template: &Template) -> String {
    let widgets: Vec<String> = widgets(template).iter().map(|widget| format!("{INDENT}{widget}")).collect();
    format!("{DASHBOARD}{INDENT}{{\"widgets\":[\n{}\n{INDENT}]}}\n", widgets.join(",\n"))
}

/// Replaces what is between `begin` and the first `end` after it.
fn replaced(text: &str, begin: &str, end: &str, by: &str) -> String {
    let (before, rest) = text.split_once(begin).unwrap_or_else(|| panic!("{begin} is missing"));
    let at = rest.find(end).unwrap_or(rest.len());
    format!("{before}{by}{}", &rest[at..])
}

#[test]
fn the_dashboard_shows_every_metric() {
    let path = root().join(TEMPLATE);
    let text = Template::real_text();
    let wanted = replaced(&text, "      DashboardBody:", "\nOutputs:", &dashboard_text(&Template::real()));
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &wanted).expect("the template is written");
    } else {
        assert!(text == wanted, "the dashboard in {TEMPLATE} is out of date: run this test with {UPDATE}=1");
    }
    let template = Template::of(&wanted);
    let (_, dashboard) =
        template.resources().find(|(id, _)| *id == "Dashboard").expect("there is a dashboard");
    let body: Json =
        serde_json::from_str(sub(&dashboard["Properties"]["DashboardBody"]).expect("it is !Sub"))
            .expect("the body is JSON");
    assert_eq!(body["widgets"].as_array().expect("it has widgets").len(), widgets(&template).len());
    let body = body.to_string();
    let missing = Metric::ALL.iter().filter(|metric| !body.contains(&format!("\"{}\"", metric.name())));
    assert_eq!(missing.count(), 0);
}

#[test]
fn the_runbook_lists_every_metric() {
    let path = root().join(RUNBOOK);
    let text = fs::read_to_string(&path).expect("the runbook is there");
    let wanted =
        replaced(&text, METRICS_HEAD, "\n\n", &format!("{METRICS_HEAD}{}", metric_rows().trim_end()));
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, wanted).expect("the runbook is written");
    } else {
        assert!(text == wanted, "the metrics in {RUNBOOK} are out of date: run this test with {UPDATE}=1");
    }
}

#[test]
fn every_metric_is_recorded() {
    let workspace = Workspace::real();
    let of_code = |path: &str| {
        (path.starts_with("shared/") || path.starts_with("functions/"))
            && !path.ends_with("runtime/src/metric.rs")
    };
    let sources: String =
        workspace.files.iter().filter(|file| of_code(&file.path)).map(|file| file.text.as_str()).collect();
    assert_eq!(unrecorded(&sources), [""; 0]);
    assert_eq!(unrecorded("").len(), Metric::ALL.len());
}

#[test]
fn every_alarm_watches_a_metric_and_notifies_the_topic() {
    let template = Template::real();
    assert_eq!(alarm_mistakes(&template), [""; 0]);
    let watched = alarms(&template).into_iter().filter_map(|(_, alarm)| alarm["MetricName"].as_str());
    let ours: BTreeSet<&str> = watched.filter(|name| Metric::of_name(name).is_some()).collect();
    for needed in [Metric::ReconcileIncomplete, Metric::MessageDeadLettered, Metric::OldestWaitingAge] {
        assert!(ours.contains(needed.name()), "no alarm watches {needed:?}");
    }
}

#[test]
fn the_runbook_has_a_section_for_every_alarm() {
    let runbook = fs::read_to_string(root().join(RUNBOOK)).expect("the runbook is there");
    assert_eq!(runbook_mistakes(&Template::real(), &runbook), [""; 0]);
}

#[test]
fn a_wrong_alarm_is_noticed() {
    let alarm = |properties: &str| {
        Template::of(&format!(
            "Resources:\n  A:\n    Type: AWS::CloudWatch::Alarm\n    Properties: {{{properties}}}\n"
        ))
    };
    let rest = "TreatMissingData: notBreaching, AlarmActions: !If [HasAlarmTopic, [!Ref AlarmTopicArn], !Ref AWS::NoValue], \
                OKActions: !If [HasAlarmTopic, [!Ref AlarmTopicArn], !Ref AWS::NoValue]";
    let ours = |metric: &str, statistic: Statistic| {
        let statistic = statistic.as_str();
        alarm(&format!("Namespace: !Sub '{NAMESPACE}', MetricName: {metric}, Statistic: {statistic}, {rest}"))
    };
    assert_eq!(alarm_mistakes(&ours("MessageDone", Statistic::Sum)), [""; 0]);
    assert_eq!(alarm_mistakes(&ours("MessageDone", Statistic::Maximum)).len(), 1);
    assert_eq!(alarm_mistakes(&ours("message_done", Statistic::Sum)).len(), 1);
    assert_eq!(
        alarm_mistakes(&alarm("Namespace: AWS/SQS")),
        ["A does not notify the topic", "A begins when there are no values"]
    );
    let complete = "# R\n\n### A\n\n**Meaning.** x **Look first.** x **Fix.** x\n";
    assert_eq!(runbook_mistakes(&alarm(rest), complete), [""; 0]);
    assert_eq!(runbook_mistakes(&alarm(rest), "# R\n"), ["A has no section"]);
    let other = complete.replace("### A", "### B");
    assert_eq!(runbook_mistakes(&alarm(rest), &other), ["A has no section", "B is no alarm"]);
    assert_eq!(runbook_mistakes(&alarm(rest), "# R\n\n### A\nx\n").len(), 3);
}
