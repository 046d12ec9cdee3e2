//! Secrets, and the file in which they are stored.

use std::path::Path;
use std::sync::{Arc, Mutex};

use af_emulator_aws::{Engine, Fault, Faults, LocalAws, Secrets, WireRequest};
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;

use serde_json::json;

use super::{clock, memory};

fn secrets_manager(aws: &LocalAws) -> aws_sdk_secretsmanager::Client {
    aws_sdk_secretsmanager::Client::new(&aws.sdk_config(RetryConfig::disabled()))
}

fn with_secrets(file: &Path) -> LocalAws {
    LocalAws::new(Engine::memory(clock().1).unwrap(), Secrets::open(file).unwrap())
}

#[tokio::test]
async fn secrets_survive_a_restart_in_a_file_that_only_the_owner_reads() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secrets.json");
    let client = secrets_manager(&with_secrets(&file));
    let created = client.create_secret().name("dev/bot").secret_string("one").send().await.unwrap();
    assert!(created.arn().unwrap().starts_with("arn:aws:secretsmanager:local:"), "{created:?}");
    client.put_secret_value().secret_id("dev/bot").secret_string("two").send().await.unwrap();

    let client = secrets_manager(&with_secrets(&file));
    let staged = async |stage: &str| {
        let got = client.get_secret_value().secret_id("dev/bot").version_stage(stage).send().await.unwrap();
        got.secret_string.unwrap()
    };
    assert_eq!((staged("AWSCURRENT").await.as_str(), staged("AWSPREVIOUS").await.as_str()), ("two", "one"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    client.delete_secret().secret_id("dev/bot").force_delete_without_recovery(true).send().await.unwrap();
    let client = secrets_manager(&with_secrets(&file));
    let gone = client.get_secret_value().secret_id("dev/bot").send().await.unwrap_err();
    assert!(gone.into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn a_change_of_secrets_that_cannot_be_stored_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let client = secrets_manager(&with_secrets(&dir.path().join("secrets.json")));
    drop(dir);
    let refused = client.create_secret().name("dev/bot").secret_string("one").send().await.unwrap_err();
    assert_eq!(refused.raw_response().map(|raw| raw.status().as_u16()), Some(500));
}

#[tokio::test]
async fn debug_output_does_not_show_a_secret() {
    struct Printer(Mutex<String>);
    impl Faults for Printer {
        fn before(&self, request: &WireRequest) -> Fault {
            *self.0.lock().unwrap() += &format!("{request:?}");
            Fault::None
        }
    }
    let printer = Arc::new(Printer(Mutex::default()));
    let aws = memory().await.with_faults(printer.clone());
    secrets_manager(&aws).create_secret().name("dev/bot").secret_string("hunter2").send().await.unwrap();
    let printed = printer.0.lock().unwrap();
    assert!(printed.contains("CreateSecret") && !printed.contains("hunter2"), "{printed}");
}

#[tokio::test]
async fn a_repeated_client_request_token_creates_no_second_version() {
    let client = secrets_manager(&memory().await);
    let create = async |token: &str, value: &str| {
        let create = client.create_secret().name("a").client_request_token(token).secret_string(value);
        create.send().await.map_err(|error| error.code().unwrap().to_owned())
    };
    let put = async |token: &str, value: &str| {
        let put = client.put_secret_value().secret_id("a").client_request_token(token).secret_string(value);
        put.send().await.map_err(|error| error.code().unwrap().to_owned())
    };
    let exists = Some("ResourceExistsException".to_owned());
    let created = create("t1", "one").await.unwrap();
    assert_eq!(created.version_id(), Some("t1"));
    assert_eq!(create("t1", "one").await.unwrap().arn(), created.arn());
    assert_eq!(create("t1", "other").await.err(), exists);
    assert_eq!(create("t2", "one").await.err(), exists);

    assert_eq!(put("t2", "two").await.unwrap().version_stages(), ["AWSCURRENT"]);
    assert_eq!(put("t2", "two").await.unwrap().version_stages(), ["AWSCURRENT"]);
    assert_eq!(put("t2", "other").await.err(), exists);
    assert_eq!(
        put("t1", "one").await.unwrap().version_stages(),
        ["AWSPREVIOUS"],
        "a late retry moves no stage"
    );
    let current = client.get_secret_value().secret_id("a").send().await.unwrap();
    assert_eq!((current.secret_string(), current.version_id()), (Some("two"), Some("t2")));
}

#[tokio::test]
async fn a_secret_scheduled_for_deletion_is_refused_until_it_is_restored() {
    let client = secrets_manager(&memory().await);
    client.create_secret().name("a").secret_string("one").send().await.unwrap();
    client.delete_secret().secret_id("a").send().await.unwrap();
    let read = client.get_secret_value().secret_id("a").send().await.unwrap_err();
    let put = client.put_secret_value().secret_id("a").secret_string("two").send().await.unwrap_err();
    let created = client.create_secret().name("a").secret_string("two").send().await.unwrap_err();
    let deleted = client.delete_secret().secret_id("a").send().await.unwrap_err();
    for code in [read.code(), put.code(), created.code(), deleted.code()] {
        assert_eq!(code, Some("InvalidRequestException"));
    }
    client.restore_secret().secret_id("a").send().await.unwrap();
    let restored = client.get_secret_value().secret_id("a").send().await.unwrap();
    assert_eq!(restored.secret_string(), Some("one"));
    let missing = client.restore_secret().secret_id("b").send().await.unwrap_err();
    assert_eq!(missing.code(), Some("ResourceNotFoundException"));
}

#[tokio::test]
async fn a_batch_read_returns_values_and_one_error_for_each_other_secret() {
    let client = secrets_manager(&memory().await);
    for name in ["a", "b"] {
        client.create_secret().name(name).secret_string(format!("value of {name}")).send().await.unwrap();
    }
    client.delete_secret().secret_id("b").send().await.unwrap();
    let batch = async |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        client.batch_get_secret_value().set_secret_id_list(Some(names)).send().await
    };
    let read = batch(&["a", "b", "c"]).await.unwrap();
    let [value] = read.secret_values() else { panic!("{read:?}") };
    assert_eq!((value.name(), value.secret_string()), (Some("a"), Some("value of a")));
    let errors: Vec<_> =
        read.errors().iter().map(|e| (e.secret_id().unwrap(), e.error_code().unwrap())).collect();
    assert_eq!(errors, [("b", "InvalidRequestException"), ("c", "ResourceNotFoundException")]);
    assert_eq!(batch(&["a"; 21]).await.unwrap_err().code(), Some("InvalidParameterException"));
}

#[tokio::test]
async fn a_parameter_that_is_not_emulated_is_refused() {
    let client = secrets_manager(&memory().await);
    let tagged = client.create_secret().name("a").secret_string("one").description("a bot").send().await;
    assert_eq!(tagged.unwrap_err().code(), Some("InvalidParameterException"));
    let listed = client.list_secrets().send().await.unwrap_err();
    assert_eq!(listed.code(), Some("UnknownOperationException"));
}

#[tokio::test]
async fn a_file_of_an_earlier_version_is_read() {
    let secret = |deleted: Option<&str>| {
        json!({
            "name": "ignored", "arn": "arn:aws:secretsmanager:local:000000000000:secret:a-AbCdEf",
            "description": "", "created_date": "2026-01-01T00:00:00+00:00",
            "versions": {
                "v1": {
                    "version_id": "v1", "secret_string": "one", "secret_binary": null,
                    "created_date": "2026-01-01T00:00:00+00:00", "version_stages": ["AWSPREVIOUS"],
                },
                "v2": {
                    "version_id": "v2", "secret_string": "two", "secret_binary": null,
                    "created_date": "2026-01-01T00:00:00+00:00", "version_stages": ["AWSCURRENT"],
                },
            },
            "current_version_id": "v2", "deleted_date": deleted, "tags": {}, "replication_status": [],
        })
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secrets.json");
    let secrets = json!({"a": secret(None), "b": secret(Some("2026-01-02T00:00:00+00:00"))});
    std::fs::write(&file, json!({"secrets": secrets}).to_string()).unwrap();
    let client = secrets_manager(&with_secrets(&file));
    let current = client.get_secret_value().secret_id("a").send().await.unwrap();
    assert_eq!((current.secret_string(), current.version_id()), (Some("two"), Some("v2")));
    let previous =
        client.get_secret_value().secret_id("a").version_stage("AWSPREVIOUS").send().await.unwrap();
    assert_eq!(previous.secret_string(), Some("one"));
    let deleted = client.get_secret_value().secret_id("b").send().await.unwrap_err();
    assert_eq!(deleted.code(), Some("InvalidRequestException"));
}
