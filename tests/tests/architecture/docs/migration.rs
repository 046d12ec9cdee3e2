//! `docs/migration.md` names operations, routes and policies that exist.

use std::collections::{BTreeMap, BTreeSet};

use af_domain::policy::FIELDS;
use af_tests::workspace::{Violation, assert_none};
use serde_json::Value;

use crate::docs::{read, rows, spans};

const DOCUMENT: &str = "docs/migration.md";
/// The sections whose rows are a function of the component, an operation and its route.
const FUNCTIONS: [&str; 2] = ["## Functions for apps", "## Functions for operators and workers"];
/// The begin of a route of users, and its short form.
const USERS: (&str, &str) = ("/v1/users/{consumerUserId}", "…");

fn wrong(what: impl Into<String>) -> Violation {
    Violation::new(DOCUMENT, what)
}

/// The operation of each route, as in `GET /v1/agents`.
fn operations(openapi: &Value) -> BTreeMap<String, String> {
    let paths = openapi["paths"].as_object().into_iter().flatten();
    let of_path = |(path, methods): (&String, &Value)| {
        let path = path.clone();
        let methods = methods.as_object().cloned().unwrap_or_default();
        methods.into_iter().filter_map(move |(method, operation)| {
            let id = operation["operationId"].as_str()?;
            Some((format!("{} {path}", method.to_uppercase()), id.to_owned()))
        })
    };
    paths.flat_map(of_path).collect()
}

/// Every row of the functions has a route and its operation.
fn wrong_operations(document: &str, operations: &BTreeMap<String, String>) -> Vec<Violation> {
    let rows = FUNCTIONS.iter().flat_map(|heading| rows(document, heading));
    let judge = |row: Vec<String>| {
        let [_, operation, route] = &row[..] else {
            return Some(wrong(format!("{row:?} has not three cells")));
        };
        let route = route.trim_matches('`').replace(USERS.1, USERS.0);
        let real = operations.get(&route);
        (real.map(String::as_str) != Some(operation.trim_matches('`')))
            .then(|| wrong(format!("{route} is the operation {real:?}, not {operation}")))
    };
    rows.filter_map(judge).collect()
}

/// Every route in backticks outside these rows exists, and so does every name of a policy.
fn unknown_names(document: &str, operations: &BTreeMap<String, String>) -> Vec<Violation> {
    let groups: BTreeSet<&str> = FIELDS.iter().map(|field| field.group).collect();
    let policies: BTreeSet<String> = FIELDS.iter().map(|f| format!("{}.{}", f.group, f.name)).collect();
    let named = document.lines().flat_map(spans);
    let is_unknown = |name: &&str| {
        let is_policy = name.split_once('.').is_some_and(|(group, _)| groups.contains(group));
        let is_route = name.split_once(' ').is_some_and(|(method, path)| {
            ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method) && path.starts_with(['/', '…'])
        });
        let route = name.replace(USERS.1, USERS.0);
        (is_policy && !policies.contains(*name)) || (is_route && !operations.contains_key(&route))
    };
    named.filter(is_unknown).map(|name| wrong(format!("`{name}` does not exist"))).collect()
}

fn real_operations() -> BTreeMap<String, String> {
    operations(&serde_json::from_str(&read("docs/openapi.json")).expect("the document is JSON"))
}

#[test]
fn every_operation_route_and_policy_of_the_migration_exists() {
    let (document, operations) = (read(DOCUMENT), real_operations());
    let listed: usize = FUNCTIONS.iter().map(|heading| rows(&document, heading).len()).sum();
    assert!(listed > 30, "the rule finds too few rows");
    assert_none(&wrong_operations(&document, &operations));
    assert_none(&unknown_names(&document, &operations));
}

#[test]
fn an_operation_route_or_policy_that_does_not_exist_is_refused() {
    let (document, operations) = (read(DOCUMENT), real_operations());
    let judged = |from: &str, to: &str| {
        assert!(document.contains(from), "{from} is not in the document");
        let changed = document.replacen(from, to, 1);
        wrong_operations(&changed, &operations).len() + unknown_names(&changed, &operations).len()
    };
    assert_eq!(judged("| `enqueueMessage` |", "| `enqueue` |"), 1, "another operation");
    assert_eq!(judged("| `PUT …/binding` |", "| `PUT …/bindings` |"), 2, "an unknown route");
    assert_eq!(judged("| `lease.leaseMs` |", "| `lease.leaseSeconds` |"), 1, "an unknown policy");
}
