//! Secrets on the emulated Secrets Manager: they are imported, read, cached, rotated, deleted and restored.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::sync::{Arc, Mutex};

use af_aws::secrets::{Secrets, SecretsError};
use af_domain::ids::SecretRef;
use af_domain::time::{Millis, Timestamp};
use af_emulator_aws::{Engine, Fault, Faults, LocalAws, Secrets as Stored, WireRequest};
use af_runtime::virtual_clock::VirtualClock;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use secrecy::ExposeSecret;
use serde_json::json;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A Secrets Manager that records its requests, and can inject faults.
#[derive(Clone)]
struct Aws {
    aws: LocalAws,
    requests: Arc<Mutex<Vec<String>>>,
}

struct Recorder<F> {
    requests: Arc<Mutex<Vec<String>>>,
    fault: F,
}

impl<F: Fn(&WireRequest) -> Fault + Send + Sync> Faults for Recorder<F> {
    fn before(&self, request: &WireRequest) -> Fault {
        self.requests.lock().unwrap().push(request.operation.clone());
        (self.fault)(request)
    }
}

impl Aws {
    fn new() -> Self {
        let clock = Arc::new(VirtualClock::frozen_at(NOW));
        let aws = LocalAws::new(Engine::memory(clock).unwrap(), Stored::memory());
        Self { aws, requests: Arc::default() }.with_fault(|_| Fault::None)
    }

    fn with_fault(&self, fault: impl Fn(&WireRequest) -> Fault + Send + Sync + 'static) -> Self {
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let recorder = Recorder { requests: requests.clone(), fault };
        Self { aws: self.aws.clone().with_faults(Arc::new(recorder)), requests }
    }

    /// The secrets of a function that has just started, without cached values.
    fn function(&self) -> Secrets {
        let sdk = self.aws.sdk_config(RetryConfig::disabled());
        Secrets::new(aws_sdk_secretsmanager::Client::new(&sdk), "agent-factory/test")
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn name(name: &str) -> SecretRef {
    SecretRef::parse(name).unwrap()
}

async fn read(secrets: &Secrets, secret: &str, now: Timestamp) -> Option<String> {
    let value = secrets.get(&name(secret), now).await.unwrap();
    value.map(|value| value.expose_secret().to_owned())
}

async fn import(secrets: &Secrets, secret: &str, value: &str) -> af_aws::secrets::PutSecret {
    secrets.put(&name(secret), value.into(), NOW).await.unwrap()
}

#[tokio::test]
async fn an_imported_secret_is_read_and_shown_without_its_value() {
    let aws = Aws::new();
    let made = import(&aws.function(), "fly.apiToken", "s3cr3t").await;
    assert!(made.created);
    let function = aws.function();
    assert_eq!(read(&function, "fly.apiToken", NOW).await.as_deref(), Some("s3cr3t"));
    let status = function.status(&[name("missing"), name("fly.apiToken"), name("missing")]).await.unwrap();
    assert_eq!(status.iter().map(|s| s.has_active).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(status[1].version.as_deref(), Some(made.version.as_str()));
    assert_eq!(status[0].secret_ref, name("missing"));
    assert!(!format!("{function:?} {status:?} {made:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn a_rotation_is_visible_at_once_to_its_function_and_after_five_minutes_to_others() {
    let aws = Aws::new();
    let (here, elsewhere) = (aws.function(), aws.function());
    let first = import(&here, "a", "one").await;
    assert_eq!(read(&elsewhere, "a", NOW).await.as_deref(), Some("one"));
    let second = import(&here, "a", "two").await;
    assert!(!second.created);
    assert_ne!(first.version, second.version);
    aws.requests();
    assert_eq!(read(&here, "a", NOW).await.as_deref(), Some("two"));
    let later = NOW + Millis::from_secs(299);
    assert_eq!(read(&elsewhere, "a", later).await.as_deref(), Some("one"));
    assert!(aws.requests().is_empty(), "both functions use their caches");
    assert_eq!(read(&elsewhere, "a", NOW + Millis::from_secs(300)).await.as_deref(), Some("two"));
}

#[tokio::test]
async fn the_current_and_the_previous_value_can_be_read() {
    let aws = Aws::new();
    let function = aws.function();
    let both = async || {
        let found = function.with_previous(&name("a")).await.unwrap();
        found.map(|found| {
            let text = |value: secrecy::SecretString| value.expose_secret().to_owned();
            (text(found.current), found.previous.map(text))
        })
    };
    assert_eq!(both().await, None);
    let mut before = None;
    for value in ["one", "two", "three", "four"] {
        import(&function, "a", value).await;
        assert_eq!(both().await, Some((value.to_owned(), before)));
        before = Some(value.to_owned());
    }
}

#[tokio::test]
async fn a_value_that_was_removed_from_the_cache_is_read_again() {
    let aws = Aws::new();
    let function = aws.function();
    import(&aws.function(), "a", "one").await;
    read(&function, "a", NOW).await;
    import(&aws.function(), "a", "two").await;
    function.forget(&name("a"));
    assert_eq!(read(&function, "a", NOW).await.as_deref(), Some("two"));
}

#[tokio::test]
async fn the_absence_of_a_secret_is_cached_for_thirty_seconds() {
    let aws = Aws::new();
    let function = aws.function();
    assert_eq!(read(&function, "a", NOW).await, None);
    import(&aws.function(), "a", "one").await;
    assert_eq!(read(&function, "a", NOW + Millis::from_secs(29)).await, None);
    assert_eq!(read(&function, "a", NOW + Millis::from_secs(30)).await.as_deref(), Some("one"));
}

#[tokio::test]
async fn many_secrets_are_read_in_batches_of_twenty_and_then_from_the_cache() {
    let aws = Aws::new();
    let importer = aws.function();
    for n in 0..45 {
        import(&importer, &format!("s{n}"), &format!("value {n}")).await;
    }
    let function = aws.function();
    read(&function, "s0", NOW).await;
    aws.requests();
    let mut wanted: Vec<_> = (0..45).map(|n| name(&format!("s{n}"))).collect();
    wanted.extend([name("missing"), name("s1")]);
    let values = function.get_many(&wanted, NOW).await.unwrap();
    assert_eq!(values.len(), 45);
    assert_eq!(values[&name("s44")].expose_secret(), "value 44");
    assert_eq!(
        aws.requests(),
        vec!["BatchGetSecretValue"; 3],
        "44 uncached secrets and one missing secret; s0 is cached"
    );
    assert_eq!(function.get_many(&wanted, NOW).await.unwrap().len(), 45);
    assert!(aws.requests().is_empty());
}

#[tokio::test]
async fn a_deleted_secret_is_absent_until_an_import_restores_it() {
    let aws = Aws::new();
    let function = aws.function();
    import(&function, "a", "one").await;
    import(&function, "b", "other").await;
    assert!(function.delete(&name("a")).await.unwrap());
    assert_eq!(read(&function, "a", NOW).await, None);
    assert_eq!(function.get_many(&[name("a"), name("b")], NOW).await.unwrap().len(), 1);
    assert!(!function.status(&[name("a"), name("b")]).await.unwrap()[0].has_active);
    assert!(!function.delete(&name("a")).await.unwrap(), "the secret is already deleted");
    assert!(!function.delete(&name("missing")).await.unwrap());
    aws.requests();
    assert!(!import(&function, "a", "two").await.created, "the secret is restored, not created");
    assert_eq!(aws.requests(), ["PutSecretValue", "RestoreSecret", "PutSecretValue"]);
    assert_eq!(read(&aws.function(), "a", NOW).await.as_deref(), Some("two"));
}

#[tokio::test]
async fn a_secret_that_is_missing_in_a_batch_response_is_read_alone() {
    let aws = Aws::new();
    import(&aws.function(), "a", "one").await;
    let silent = aws.with_fault(|request| match request.operation.as_str() {
        "BatchGetSecretValue" => Fault::Respond { status: 200, body: json!({}) },
        _ => Fault::None,
    });
    let values = silent.function().get_many(&[name("a"), name("b")], NOW).await.unwrap();
    assert_eq!(values[&name("a")].expose_secret(), "one");
    assert_eq!(silent.requests(), ["BatchGetSecretValue", "GetSecretValue", "GetSecretValue"]);
}

#[tokio::test]
async fn a_secret_without_read_permission_is_an_error_and_not_absent() {
    let aws = Aws::new();
    import(&aws.function(), "a", "one").await;
    let denied = aws.with_fault(|request| match request.operation.as_str() {
        "BatchGetSecretValue" => {
            let ids = request.body["SecretIdList"].as_array().unwrap();
            let error = |id| json!({ "SecretId": id, "ErrorCode": "AccessDeniedException", "Message": "no" });
            Fault::Respond {
                status: 200,
                body: json!({ "Errors": ids.iter().map(error).collect::<Vec<_>>() }),
            }
        }
        _ => Fault::Respond {
            status: 400,
            body: json!({ "__type": "AccessDeniedException", "message": "no" }),
        },
    });
    let error = denied.function().get_many(&[name("a"), name("b")], NOW).await.unwrap_err();
    assert_eq!(error.to_string(), "GetSecretValue failed for a: AccessDeniedException: no");
}

#[tokio::test]
async fn an_unreadable_response_is_not_shown_in_the_error() {
    let garbled = Aws::new().with_fault(|_| Fault::Respond {
        status: 200,
        body: json!({ "SecretString": ["s3cr3t"], "SecretValues": "s3cr3t" }),
    });
    for wanted in [vec![name("a")], vec![name("a"), name("b")]] {
        let error = garbled.function().get_many(&wanted, NOW).await.unwrap_err();
        assert!(error.to_string().ends_with("the response could not be parsed"), "{error}");
        assert!(!format!("{error:?}").contains("s3cr3t"));
    }
}

#[tokio::test]
async fn throttling_and_a_lost_request_are_different_errors() {
    let throttled = Aws::new().with_fault(|_| Fault::Respond {
        status: 400,
        body: json!({ "__type": "ThrottlingException", "message": "Rate exceeded" }),
    });
    let error = throttled.function().get(&name("a"), NOW).await.unwrap_err();
    assert!(matches!(error, SecretsError::Throttled("GetSecretValue")), "{error}");

    let silent = Aws::new().with_fault(|_| Fault::LoseRequest);
    let error = silent.function().put(&name("a"), "s3cr3t".into(), NOW).await.unwrap_err();
    assert!(error.to_string().starts_with("PutSecretValue failed for a: no response"), "{error}");
    assert!(!format!("{error:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn a_failed_read_is_not_cached_as_absent() {
    let aws = Aws::new();
    import(&aws.function(), "a", "one").await;
    let is_first = Mutex::new(true);
    let unreliable = aws.with_fault(move |_| match std::mem::take(&mut *is_first.lock().unwrap()) {
        true => Fault::LoseResponse,
        false => Fault::None,
    });
    let function = unreliable.function();
    assert!(function.get(&name("a"), NOW).await.is_err());
    assert_eq!(read(&function, "a", NOW).await.as_deref(), Some("one"));
}

#[tokio::test]
async fn an_import_whose_response_was_lost_can_be_repeated() {
    let aws = Aws::new();
    let lossy = aws.with_fault(|request| match request.operation.as_str() {
        "CreateSecret" => Fault::LoseResponse,
        _ => Fault::None,
    });
    let function = lossy.function();
    assert!(function.put(&name("a"), "one".into(), NOW).await.is_err());
    assert!(!import(&function, "a", "one").await.created);
    assert_eq!(read(&aws.function(), "a", NOW).await.as_deref(), Some("one"));
}

#[tokio::test]
async fn an_import_fails_after_five_conflicts_with_other_writers() {
    let contended = Aws::new().with_fault(|request| {
        let code = match request.operation.as_str() {
            "PutSecretValue" => "ResourceNotFoundException",
            _ => "ResourceExistsException",
        };
        Fault::Respond { status: 400, body: json!({ "__type": code, "message": "" }) }
    });
    let error = contended.function().put(&name("a"), "one".into(), NOW).await.unwrap_err();
    assert!(matches!(error, SecretsError::Contended(_)), "{error}");
    assert_eq!(contended.requests().len(), 5);
}
