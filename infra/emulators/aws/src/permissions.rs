//! Permissions: what the role of a function allows. A request that no statement allows is answered as AWS answers it.
//!
//! This is the part of IAM that the template uses: statements that allow actions on resources, with `*` and `?` in the
//! names of resources. There are no conditions, no denials and no policies of resources.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use serde_json::{Value, json};

use super::wire::{Reply, Service, WireRequest};
use super::{ACCOUNT, REGION};

/// The end of the ARN of a secret. On AWS it is random, so that no policy can contain it.
const SECRET_SUFFIX: &str = "-AbCdEf";

/// One statement that allows something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Actions such as `dynamodb:GetItem`.
    pub actions: Vec<String>,
    /// The ARNs of resources, with `*` for any characters and `?` for one.
    pub resources: Vec<String>,
}

/// An action on one resource, or on all resources with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The action, such as `dynamodb:GetItem`.
    pub action: String,
    /// The ARN of the resource, or the pattern of a statement.
    pub resource: String,
}

/// The permissions of one role, and the record of those that requests needed. Clones share the record.
#[derive(Clone, Debug)]
pub struct Permissions {
    granted: Arc<BTreeSet<Permission>>,
    used: Arc<Mutex<BTreeSet<Permission>>>,
    missing: Arc<Mutex<BTreeSet<Permission>>>,
}

impl Permissions {
    /// Allows these statements and nothing else.
    pub fn of(statements: impl IntoIterator<Item = Statement>) -> Self {
        let permissions = |statement: Statement| {
            let Statement { actions, resources } = statement;
            let of_action = move |action: String| {
                let of = move |resource: &String| Permission {
                    action: action.clone(),
                    resource: resource.clone(),
                };
                resources.iter().map(of).collect::<Vec<_>>()
            };
            actions.into_iter().flat_map(of_action).collect::<Vec<_>>()
        };
        let granted = statements.into_iter().flat_map(permissions).collect();
        Self { granted: Arc::new(granted), used: Arc::default(), missing: Arc::default() }
    }

    /// All permissions of the role, one for each action and resource of a statement.
    pub fn granted(&self) -> &BTreeSet<Permission> {
        &self.granted
    }

    /// The permissions of the role that requests have needed until now.
    pub fn used(&self) -> BTreeSet<Permission> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The permissions that requests have needed and that the role does not have.
    pub fn missing(&self) -> BTreeSet<Permission> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the role allows this, which is then recorded as used, and otherwise as missing.
    pub fn allow(&self, needed: &Permission) -> bool {
        let allows = |granted: &&Permission| {
            granted.action == needed.action && matches(&granted.resource, &needed.resource)
        };
        let allowing: Vec<_> = self.granted.iter().filter(allows).cloned().collect();
        let is_allowed = !allowing.is_empty();
        if !is_allowed {
            self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(needed.clone());
        }
        self.used.lock().unwrap_or_else(PoisonError::into_inner).extend(allowing);
        is_allowed
    }

    /// The answer to a request that is not allowed; `None` if it is.
    pub(super) fn denial(&self, request: &WireRequest) -> Option<Reply> {
        let missing = needed(request).into_iter().find(|needed| !self.allow(needed))?;
        let kind = match request.service {
            Service::DynamoDb => "com.amazon.coral.service#AccessDeniedException",
            Service::SecretsManager => "AccessDeniedException",
        };
        let message =
            format!("the role is not allowed to perform {} on {}", missing.action, missing.resource);
        tracing::error!(action = missing.action, resource = missing.resource, "a request is not allowed");
        Some(Reply { status: 400, body: json!({"__type": kind, "Message": message}) })
    }

    /// Whether a request for an object is allowed. `path` is that of a request in path style, decoded.
    pub(super) fn allow_object(&self, method: &Method, path: &str) -> bool {
        let action = match *method {
            Method::GET | Method::HEAD => "s3:GetObject",
            Method::PUT => "s3:PutObject",
            Method::DELETE => "s3:DeleteObject",
            // The emulator has no other operation.
            _ => return true,
        };
        let resource = format!("arn:aws:s3:::{}", path.trim_start_matches('/'));
        self.allow(&Permission { action: action.to_owned(), resource })
    }

    /// Whether the caller may see that an object does not exist. Otherwise S3 says that it is forbidden.
    pub(super) fn allow_absence(&self, path: &str) -> bool {
        let bucket = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let resource = format!("arn:aws:s3:::{bucket}");
        self.allow(&Permission { action: "s3:ListBucket".to_owned(), resource })
    }
}

/// The permissions that a request needs (Service Authorization Reference).
fn needed(request: &WireRequest) -> Vec<Permission> {
    let (operation, body) = (request.operation.as_str(), &request.body);
    match request.service {
        Service::DynamoDb => match operation {
            "BatchGetItem" | "BatchWriteItem" => {
                let tables = body["RequestItems"].as_object().into_iter().flatten();
                tables.map(|(table, _)| of_table(operation, &table.as_str().into(), &Value::Null)).collect()
            }
            "TransactWriteItems" => {
                let writes = body["TransactItems"].as_array().into_iter().flatten();
                let parts = writes.filter_map(Value::as_object).flatten();
                parts
                    .map(|(kind, write)| of_table(of_transaction(kind), &write["TableName"], &Value::Null))
                    .collect()
            }
            "TransactGetItems" => {
                let reads = body["TransactItems"].as_array().into_iter().flatten();
                reads.map(|read| of_table("GetItem", &read["Get"]["TableName"], &Value::Null)).collect()
            }
            _ => vec![of_table(operation, &body["TableName"], &body["IndexName"])],
        },
        Service::SecretsManager => match operation {
            "BatchGetSecretValue" => {
                let names = body["SecretIdList"].as_array().into_iter().flatten();
                let all =
                    Permission { action: format!("secretsmanager:{operation}"), resource: "*".to_owned() };
                names.map(|name| of_secret("GetSecretValue", name)).chain([all]).collect()
            }
            "CreateSecret" => vec![of_secret(operation, &body["Name"])],
            _ => vec![of_secret(operation, &body["SecretId"])],
        },
    }
}

/// The action of one part of a transaction.
fn of_transaction(kind: &str) -> &'static str {
    match kind {
        "Put" => "PutItem",
        "Update" => "UpdateItem",
        "Delete" => "DeleteItem",
        _ => "ConditionCheckItem",
    }
}

fn of_table(operation: &str, table: &Value, index: &Value) -> Permission {
    let table = table.as_str().unwrap_or_default();
    let index = index.as_str().map_or_else(String::new, |index| format!("/index/{index}"));
    let resource = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}{index}");
    Permission { action: format!("dynamodb:{operation}"), resource }
}

fn of_secret(operation: &str, name: &Value) -> Permission {
    let name = name.as_str().unwrap_or_default();
    let resource = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}{SECRET_SUFFIX}");
    Permission { action: format!("secretsmanager:{operation}"), resource }
}

/// Whether `text` has this pattern, in which `*` is any text and `?` any character.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => {
            pattern.chars().count() == text.chars().count()
                && pattern.chars().zip(text.chars()).all(|(wanted, given)| wanted == '?' || wanted == given)
        }
        Some((head, rest)) => {
            let ends = (0..=text.len()).filter(|end| text.is_char_boundary(*end));
            let mut splits = ends.map(|end| text.split_at(end));
            splits.any(|(before, after)| {
                matches(head, before)
                    && (0..=after.len())
                        .filter(|skipped| after.is_char_boundary(*skipped))
                        .any(|skipped| matches(rest, &after[skipped..]))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(action: &str, resource: &str) -> Permission {
        Permission { action: action.to_owned(), resource: resource.to_owned() }
    }

    fn request(service: Service, operation: &str, body: Value) -> WireRequest {
        WireRequest { service, operation: operation.to_owned(), body }
    }

    #[test]
    fn a_pattern_matches_any_characters_at_a_star_and_one_at_a_question_mark() {
        for (pattern, text) in
            [("*", ""), ("a*", "abc"), ("a*c", "abc"), ("a*b*", "ab"), ("a?c", "abc"), ("é*", "éa")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a*c", "abd"), ("a?", "a"), ("a", "ab"), ("b*", "ab")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_request_needs_the_actions_of_its_parts_on_their_tables_and_indexes() {
        let table = |suffix: &str| format!("arn:aws:dynamodb:local:000000000000:table/T{suffix}");
        let query = request(Service::DynamoDb, "Query", json!({"TableName": "T", "IndexName": "ready"}));
        assert_eq!(needed(&query), [permission("dynamodb:Query", &table("/index/ready"))]);
        let transaction = json!({"TransactItems": [
            {"Put": {"TableName": "T"}}, {"Update": {"TableName": "T"}}, {"ConditionCheck": {"TableName": "T"}},
        ]});
        let actions = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:ConditionCheckItem"];
        let transaction = request(Service::DynamoDb, "TransactWriteItems", transaction);
        assert_eq!(needed(&transaction), actions.map(|action| permission(action, &table(""))));
        let batch = request(Service::DynamoDb, "BatchGetItem", json!({"RequestItems": {"T": {}}}));
        assert_eq!(needed(&batch), [permission("dynamodb:BatchGetItem", &table(""))]);
        let secrets =
            request(Service::SecretsManager, "BatchGetSecretValue", json!({"SecretIdList": ["a/b"]}));
        assert_eq!(
            needed(&secrets),
            [
                permission(
                    "secretsmanager:GetSecretValue",
                    "arn:aws:secretsmanager:local:000000000000:secret:a/b-AbCdEf"
                ),
                permission("secretsmanager:BatchGetSecretValue", "*"),
            ]
        );
    }

    #[test]
    fn a_request_without_a_permission_is_denied_and_a_permission_that_is_used_is_recorded() {
        let resource = "arn:aws:dynamodb:local:000000000000:table/T";
        let statement = Statement {
            actions: vec!["dynamodb:GetItem".to_owned(), "dynamodb:PutItem".to_owned()],
            resources: vec![resource.to_owned()],
        };
        let permissions = Permissions::of([statement]);
        let of = |operation: &str| request(Service::DynamoDb, operation, json!({"TableName": "T"}));
        assert_eq!(permissions.denial(&of("GetItem")), None);
        let denied = permissions.denial(&of("DeleteItem")).unwrap();
        assert_eq!(
            (denied.status, denied.body["__type"].as_str().unwrap().ends_with("AccessDeniedException")),
            (400, true)
        );
        assert_eq!(permissions.used(), BTreeSet::from([permission("dynamodb:GetItem", resource)]));
        assert_eq!(permissions.missing(), BTreeSet::from([permission("dynamodb:DeleteItem", resource)]));
        assert_eq!(permissions.granted().len(), 2);
    }

    #[test]
    fn the_absence_of_an_object_needs_the_permission_to_list_its_bucket() {
        let of = |action: &str, resource: &str| {
            Permissions::of([Statement {
                actions: vec![action.to_owned()],
                resources: vec![resource.to_owned()],
            }])
        };
        let reader = of("s3:GetObject", "arn:aws:s3:::b/media/*");
        assert!(
            reader.allow_object(&Method::HEAD, "/b/media/1")
                && !reader.allow_object(&Method::PUT, "/b/media/1")
        );
        assert!(!reader.allow_object(&Method::GET, "/b/snapshots/1") && !reader.allow_absence("/b/media/1"));
        assert!(of("s3:ListBucket", "arn:aws:s3:::b").allow_absence("/b/media/1"));
    }
}
