//! The embedded S3 as its users see it: through the real SDK client without a socket, and by presigned URLs over
//! loopback.
#![allow(clippy::unwrap_used, reason = "all of this is tests, their helpers included")]

mod presigned;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use af_domain::time::Timestamp;
use af_local::aws::{Engine, LocalAws, Objects, Secrets};
use af_local::clock::VirtualClock;
use af_local::stack::{Stack, StackOptions, WorkersOn};
use af_local::template::Template;
use af_providers::Providers;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::retry::RetryConfig;

/// 2026-01-01, in milliseconds: far from the machine's clock, which signatures go by.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// A bucket that the template does not declare.
const UNDECLARED: &str = "nobody-declared-this";
/// More than the JSON protocols take in one request.
const MANY_BYTES: usize = 17 * 1024 * 1024;

fn template() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml")).unwrap()
}

/// The one bucket of the real template.
fn bucket() -> String {
    let [bucket] =
        <[_; 1]>::try_from(Template::parse(&template(), &BTreeMap::new()).unwrap().buckets).unwrap();
    bucket.name
}

fn aws_over(objects: Objects) -> LocalAws {
    let engine = Engine::memory(Arc::new(VirtualClock::frozen_at(START))).unwrap();
    LocalAws::new(engine, Secrets::memory()).with_objects(objects)
}

fn aws() -> LocalAws {
    aws_over(Objects::temporary(&[&bucket()]).unwrap())
}

fn s3(aws: &LocalAws) -> Client {
    Client::new(&aws.sdk_config(RetryConfig::disabled()))
}

async fn put(client: &Client, key: &str, body: impl Into<ByteStream>) {
    client.put_object().bucket(bucket()).key(key).body(body.into()).send().await.unwrap();
}

async fn get(client: &Client, key: &str) -> Vec<u8> {
    let object = client.get_object().bucket(bucket()).key(key).send().await.unwrap();
    object.body.collect().await.unwrap().to_vec()
}

fn bytes(text: &'static str) -> ByteStream {
    ByteStream::from_static(text.as_bytes())
}

#[tokio::test]
async fn what_was_put_is_got_headed_and_listed() {
    let client = s3(&aws());
    let request = client.put_object().bucket(bucket()).key("notes/a.txt").body(bytes("hello"));
    request.content_type("text/plain").metadata("kind", "note").send().await.unwrap();
    put(&client, "other", bytes("?")).await;
    assert_eq!(get(&client, "notes/a.txt").await, b"hello");

    let head = client.head_object().bucket(bucket()).key("notes/a.txt").send().await.unwrap();
    assert_eq!((head.content_length(), head.content_type()), (Some(5), Some("text/plain")));
    assert_eq!(head.metadata().unwrap()["kind"], "note");

    let listed = client.list_objects_v2().bucket(bucket()).prefix("notes/").send().await.unwrap();
    assert_eq!(
        listed.contents().iter().filter_map(|object| object.key()).collect::<Vec<_>>(),
        ["notes/a.txt"]
    );

    client.delete_object().bucket(bucket()).key("notes/a.txt").send().await.unwrap();
    let gone = client.get_object().bucket(bucket()).key("notes/a.txt").send().await.unwrap_err();
    assert!(gone.into_service_error().is_no_such_key());
    let gone = client.head_object().bucket(bucket()).key("notes/a.txt").send().await.unwrap_err();
    assert!(gone.into_service_error().is_not_found());
}

#[tokio::test]
async fn a_file_of_many_megabytes_arrives_as_it_is() {
    let client = s3(&aws());
    let many: Vec<u8> = (0..MANY_BYTES).map(|at| (at % 251) as u8).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &many).unwrap();
    put(&client, "from-file", ByteStream::from_path(file.path()).await.unwrap()).await;
    assert!(get(&client, "from-file").await == many);
}

#[tokio::test]
async fn a_bucket_that_the_template_does_not_declare_is_refused_and_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let client = s3(&aws_over(Objects::open(dir.path(), &[&bucket()]).unwrap()));
    let put = client.put_object().bucket(UNDECLARED).key("a").body(bytes("a")).send().await.unwrap_err();
    assert_eq!(put.into_service_error().code(), Some("NoSuchBucket"));
    let list = client.list_objects_v2().bucket(UNDECLARED).send().await.unwrap_err();
    assert!(list.into_service_error().is_no_such_bucket());
    let make = client.create_bucket().bucket(UNDECLARED).send().await.unwrap_err();
    assert_eq!(make.into_service_error().code(), Some("AccessDenied"));
    let delete = client.delete_bucket().bucket(bucket()).send().await.unwrap_err();
    assert_eq!(delete.into_service_error().code(), Some("AccessDenied"));
    let folders: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(folders, [bucket().as_str()]);
}

#[tokio::test]
async fn the_longest_key_that_fits_is_kept_and_a_longer_one_refused() {
    let client = s3(&aws());
    let mut key = "folder/".to_owned();
    let refused = loop {
        key.push('k');
        if let Err(refused) = client.put_object().bucket(bucket()).key(&key).body(bytes("k")).send().await {
            break refused;
        }
    };
    assert_eq!(refused.into_service_error().code(), Some("KeyTooLongError"));
    key.pop();
    assert!(key.len() > 140, "{}", key.len());
    assert_eq!(get(&client, &key).await, b"k");
}

#[tokio::test]
async fn objects_survive_reopening_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let open = || s3(&aws_over(Objects::open(dir.path(), &[&bucket()]).unwrap()));
    let before = open();
    let request = before.put_object().bucket(bucket()).key("kept").body(bytes("kept"));
    let tag = request.content_type("text/plain").send().await.unwrap().e_tag;
    drop(before);
    let after = open();
    assert_eq!(get(&after, "kept").await, b"kept");
    let head = after.head_object().bucket(bucket()).key("kept").send().await.unwrap();
    assert_eq!((head.content_type(), head.e_tag()), (Some("text/plain"), tag.as_deref()));
}

#[tokio::test]
async fn a_stack_has_the_buckets_of_its_template_and_its_presigned_urls_lead_to_it() {
    let options = StackOptions {
        template: template(),
        data_dir: None,
        port: 0,
        clock: VirtualClock::frozen_at(START),
        providers: Providers::none(),
        workers_on: WorkersOn::Local,
        worker_env: BTreeMap::new(),
        functions: false,
        demo: false,
    };
    let stack = Stack::start(options).await.unwrap();
    let client = s3(stack.aws());
    put(&client, "a", bytes("from the stack")).await;
    let url = presigned::get_url(&client, "a").await;
    assert!(url.starts_with(stack.aws_url()), "{url}");
    assert_eq!(presigned::fetch(&url).await, (200, "from the stack".to_owned()));
    stack.stop().await;
}
