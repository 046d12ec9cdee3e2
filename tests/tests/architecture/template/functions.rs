//! The deployed functions with their variables, limits and logs.

use std::collections::{BTreeMap, BTreeSet};

use crate::template::{Template, one_function, one_function_behind_http};
use af_tests::workspace::Workspace;

/// Memory that a function may have, in MB.
const MEMORY_MB: std::ops::RangeInclusive<u64> = 256..=512;

/// An HTTP API gives up after 30 s, so a function behind it must have answered by then.
const MAX_HTTP_TIMEOUT_S: u64 = 29;

/// Every variable that a function reads, and no other.
const ENVIRONMENT: [(&str, &[&str]); 9] = [
    ("webhook", &["WEBHOOK_PATH_PREFIX"]),
    ("worker", &["BUCKET_NAME", "TELEGRAM_API_URL"]),
    ("user-api", &["BUCKET_NAME", "TELEGRAM_API_URL", "WEBHOOK_PATH_PREFIX"]),
    ("stream", &[]),
    ("console", &["FLY_API_URL"]),
    ("admin-api", &["FLY_API_URL", "TELEGRAM_API_URL", "WEBHOOK_PATH_PREFIX"]),
    ("reconcile", &["FLY_API_URL", "PUBLIC_URL", "TELEGRAM_API_URL"]),
    ("effects", &["BUCKET_NAME", "TELEGRAM_API_URL", "WEBHOOK_PATH_PREFIX"]),
    ("push-dispatch", &[]),
];

/// Variables of every function, from the template's globals.
const ENVIRONMENT_OF_ALL: [&str; 5] =
    ["DEPLOYMENT_ID", "METRICS_NAMESPACE", "RUST_LOG", "SECRETS_PREFIX", "TABLE_NAME"];

/// Every crate under `functions/` is deployed under its own name, and no other function is deployed.
fn function_parity(template: &Template, crates: &BTreeSet<String>) -> Vec<String> {
    let functions = template.functions();
    let deployed: BTreeSet<String> = functions.iter().map(|f| f.binary.to_owned()).collect();
    let mut wrong: Vec<String> =
        crates.difference(&deployed).map(|c| format!("{c} is not deployed")).collect();
    wrong.extend(deployed.difference(crates).map(|d| format!("{d} is no function crate")));
    // From the workspace's root, cargo builds the binaries of its default members only.
    let elsewhere = functions
        .iter()
        .filter(|f| f.properties["CodeUri"].as_str() != Some(&format!("../functions/{}", f.binary)));
    wrong.extend(elsewhere.map(|f| format!("{} is not built from its own crate", f.id)));
    wrong
}

/// Every variable that a function reads is declared for it, and no other.
fn environment_parity(template: &Template) -> Vec<String> {
    let read: BTreeMap<&str, &[&str]> = ENVIRONMENT.into_iter().collect();
    let mut wrong = Vec::new();
    for function in template.functions() {
        let own = read.get(function.binary).copied().unwrap_or_default();
        let wanted: BTreeSet<String> =
            ENVIRONMENT_OF_ALL.iter().chain(own).map(|v| (*v).to_owned()).collect();
        let declared = template.environment_of(&function);
        wrong.extend(wanted.difference(&declared).map(|v| format!("{} lacks {v}", function.id)));
        wrong.extend(declared.difference(&wanted).map(|v| format!("{} does not read {v}", function.id)));
    }
    wrong
}

/// Each function has its own logs, and limits that fit its callers.
fn limit_mistakes(template: &Template) -> Vec<String> {
    let mut logs = BTreeSet::new();
    let mut wrong = Vec::new();
    for function in template.functions() {
        let properties = function.properties;
        if !properties["MemorySize"].as_u64().is_some_and(|mb| MEMORY_MB.contains(&mb)) {
            wrong.push(format!("{} has memory outside {MEMORY_MB:?} MB", function.id));
        }
        let timeout = properties["Timeout"].as_u64();
        let behind_http = template.is_behind_http(&function);
        if timeout.is_none_or(|s| behind_http && s > MAX_HTTP_TIMEOUT_S) {
            wrong.push(format!("{} has no timeout, or a longer one than its caller's", function.id));
        }
        let group = &properties["LoggingConfig"]["LogGroup"];
        if !logs.insert(format!("{group:?}")) || group.is_null() {
            wrong.push(format!("{} has no log group of its own", function.id));
        }
    }
    let unlimited = template.resources().filter(|(_, r)| r["Type"].as_str() == Some("AWS::Logs::LogGroup"));
    let unlimited = unlimited.filter(|(_, r)| r["Properties"]["RetentionInDays"].is_null());
    wrong.extend(unlimited.map(|(id, _)| format!("{id} keeps its lines for ever")));
    wrong
}

#[test]
fn every_function_crate_is_deployed_and_nothing_else() {
    let workspace = Workspace::real();
    let folders = workspace.crates.iter().filter_map(|c| c.folder.strip_prefix("functions/"));
    assert_eq!(function_parity(&Template::real(), &folders.map(str::to_owned).collect()), [""; 0]);
}

#[test]
fn every_variable_that_a_function_reads_is_declared() {
    assert_eq!(environment_parity(&Template::real()), [""; 0]);
}

#[test]
fn every_function_has_its_own_limits_and_logs() {
    assert_eq!(limit_mistakes(&Template::real()), [""; 0]);
}

#[test]
fn a_missing_or_unknown_function_is_noticed() {
    let template = one_function("{CodeUri: ../functions/worker}");
    let crates = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    assert_eq!(function_parity(&template, &crates(&["worker"])), [""; 0]);
    assert_eq!(function_parity(&template, &crates(&["webhook", "worker"])), ["webhook is not deployed"]);
    assert_eq!(function_parity(&template, &crates(&[])), ["worker is no function crate"]);
    let from_root = one_function("{CodeUri: ..}");
    assert_eq!(function_parity(&from_root, &crates(&["worker"])), ["Worker is not built from its own crate"]);
}

#[test]
fn a_missing_or_surplus_variable_is_noticed() {
    let variables = |names: &str| one_function(&format!("{{Environment: {{Variables: {{{names}}}}}}}"));
    let all = "DEPLOYMENT_ID: x, BUCKET_NAME: x, METRICS_NAMESPACE: x, RUST_LOG: x, SECRETS_PREFIX: x, TABLE_NAME: !Ref Table, TELEGRAM_API_URL: x";
    assert_eq!(environment_parity(&variables(all)), [""; 0]);
    assert_eq!(environment_parity(&variables(&all[18..])), ["Worker lacks DEPLOYMENT_ID"]);
    let surplus = format!("{all}, PUBLIC_URL: x");
    assert_eq!(environment_parity(&variables(&surplus)), ["Worker does not read PUBLIC_URL"]);
}

#[test]
fn a_function_without_limits_is_noticed() {
    let fine = "{MemorySize: 256, Timeout: 10, LoggingConfig: {LogGroup: !Ref Logs}}";
    assert_eq!(limit_mistakes(&one_function(fine)), [""; 0]);
    assert_eq!(limit_mistakes(&one_function("{}")).len(), 3);
    let slow = "{MemorySize: 256, Timeout: 60, LoggingConfig: {LogGroup: !Ref Logs}}";
    assert_eq!(limit_mistakes(&one_function(slow)), [""; 0]);
    assert_eq!(limit_mistakes(&one_function_behind_http(slow)).len(), 1);
    let kept = Template::of("Resources:\n  Logs: {Type: AWS::Logs::LogGroup, Properties: {}}\n");
    assert_eq!(limit_mistakes(&kept), ["Logs keeps its lines for ever"]);
}
