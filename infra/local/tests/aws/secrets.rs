//! Secrets, and the file that keeps them.

use std::path::Path;
use std::sync::{Arc, Mutex};

use af_local::aws::{Engine, Fault, Faults, LocalAws, Secrets, WireRequest};
use aws_smithy_types::retry::RetryConfig;

use super::{clock, memory};

fn secrets_manager(aws: &LocalAws) -> aws_sdk_secretsmanager::Client {
    aws_sdk_secretsmanager::Client::new(&aws.sdk_config(RetryConfig::disabled()))
}

async fn with_secrets(file: &Path) -> LocalAws {
    LocalAws::new(Engine::memory(clock().1).unwrap(), Secrets::open(file).await.unwrap())
}

#[tokio::test]
async fn secrets_outlive_a_restart_and_are_nobody_elses_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secrets.json");
    let client = secrets_manager(&with_secrets(&file).await);
    let created = client.create_secret().name("dev/bot").secret_string("one").send().await.unwrap();
    assert!(created.arn().unwrap().starts_with("arn:aws:secretsmanager:local:"), "{created:?}");
    client.put_secret_value().secret_id("dev/bot").secret_string("two").send().await.unwrap();

    let client = secrets_manager(&with_secrets(&file).await);
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
    let client = secrets_manager(&with_secrets(&file).await);
    let gone = client.get_secret_value().secret_id("dev/bot").send().await.unwrap_err();
    assert!(gone.into_service_error().is_resource_not_found_exception());
}

#[tokio::test]
async fn a_change_of_secrets_that_cannot_be_kept_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let client = secrets_manager(&with_secrets(&dir.path().join("secrets.json")).await);
    drop(dir);
    let refused = client.create_secret().name("dev/bot").secret_string("one").send().await.unwrap_err();
    assert_eq!(refused.raw_response().map(|raw| raw.status().as_u16()), Some(500));
}

#[tokio::test]
async fn a_secret_is_not_shown_by_a_debug_print() {
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
