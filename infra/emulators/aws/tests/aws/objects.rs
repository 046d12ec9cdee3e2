//! The embedded S3 through the real SDK client without a socket, and by presigned URLs over loopback.

use std::sync::Arc;

use af_emulator_aws::{Engine, LocalAws, Objects, Secrets};
use af_runtime::virtual_clock::VirtualClock;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::retry::RetryConfig;

use crate::START;

/// The bucket of these tests.
pub(crate) const BUCKET: &str = "objects-of-tests";
/// A bucket that is not declared.
pub(crate) const UNDECLARED: &str = "undeclared";
/// More than one request of the JSON protocols may have.
pub(crate) const MANY_BYTES: usize = 17 * 1024 * 1024;

fn aws_over(objects: Objects) -> LocalAws {
    let engine = Engine::memory(Arc::new(VirtualClock::frozen_at(START))).unwrap();
    LocalAws::new(engine, Secrets::memory()).with_objects(objects)
}

pub(crate) fn aws() -> LocalAws {
    aws_over(Objects::temporary(&[BUCKET]).unwrap())
}

pub(crate) fn s3(aws: &LocalAws) -> Client {
    Client::new(&aws.sdk_config(RetryConfig::disabled()))
}

pub(crate) async fn put(client: &Client, key: &str, body: impl Into<ByteStream>) {
    client.put_object().bucket(BUCKET).key(key).body(body.into()).send().await.unwrap();
}

pub(crate) async fn get(client: &Client, key: &str) -> Vec<u8> {
    let object = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
    object.body.collect().await.unwrap().to_vec()
}

pub(crate) fn bytes(text: &'static str) -> ByteStream {
    ByteStream::from_static(text.as_bytes())
}

#[tokio::test]
async fn a_stored_object_is_returned_by_get_and_head_until_it_is_deleted() {
    let client = s3(&aws());
    let request = client.put_object().bucket(BUCKET).key("notes/a.txt").body(bytes("hello"));
    request.content_type("text/plain").send().await.unwrap();
    put(&client, "notes", bytes("?")).await;
    assert_eq!(get(&client, "notes/a.txt").await, b"hello");

    let head = client.head_object().bucket(BUCKET).key("notes/a.txt").send().await.unwrap();
    assert_eq!((head.content_length(), head.content_type()), (Some(5), Some("text/plain")));

    client.delete_object().bucket(BUCKET).key("notes/a.txt").send().await.unwrap();
    let gone = client.get_object().bucket(BUCKET).key("notes/a.txt").send().await.unwrap_err();
    assert!(gone.into_service_error().is_no_such_key());
    let gone = client.head_object().bucket(BUCKET).key("notes/a.txt").send().await.unwrap_err();
    assert!(gone.into_service_error().is_not_found());
    client.delete_object().bucket(BUCKET).key("notes/a.txt").send().await.unwrap();
    assert_eq!(get(&client, "notes").await, b"?");
}

#[tokio::test]
async fn of_concurrent_puts_that_must_not_replace_exactly_one_succeeds() {
    let client = s3(&aws());
    let puts = (0..16).map(|n| {
        let request = client.put_object().bucket(BUCKET).key("a").if_none_match("*");
        request.body(ByteStream::from(vec![n])).send()
    });
    let answers = futures::future::join_all(puts).await;
    let stored: Vec<_> = answers.iter().enumerate().filter(|(_, answer)| answer.is_ok()).collect();
    assert_eq!(stored.len(), 1);
    assert_eq!(get(&client, "a").await, [u8::try_from(stored[0].0).unwrap()]);
    for refused in answers.into_iter().filter_map(Result::err) {
        assert_eq!(refused.into_service_error().code(), Some("PreconditionFailed"));
    }
}

#[tokio::test]
async fn an_operation_or_parameter_that_is_not_emulated_is_refused() {
    let client = s3(&aws());
    let list = client.list_objects_v2().bucket(BUCKET).send().await.unwrap_err();
    assert_eq!(list.into_service_error().code(), Some("NotImplemented"));
    let part = client.get_object().bucket(BUCKET).key("a").version_id("1").send().await.unwrap_err();
    assert_eq!(part.into_service_error().code(), Some("NotImplemented"));
    let put = client.put_object().bucket(BUCKET).key("a").metadata("kind", "note").body(bytes("a"));
    assert_eq!(put.send().await.unwrap_err().into_service_error().code(), Some("NotImplemented"));
}

#[tokio::test]
async fn an_undeclared_bucket_is_refused_and_not_created() {
    let dir = tempfile::tempdir().unwrap();
    let client = s3(&aws_over(Objects::open(dir.path(), &[BUCKET]).unwrap()));
    let put = client.put_object().bucket(UNDECLARED).key("a").body(bytes("a")).send().await.unwrap_err();
    assert_eq!(put.into_service_error().code(), Some("NoSuchBucket"));
    let make = client.create_bucket().bucket(UNDECLARED).send().await.unwrap_err();
    assert_eq!(make.into_service_error().code(), Some("NoSuchBucket"));
    let delete = client.delete_bucket().bucket(BUCKET).send().await.unwrap_err();
    assert_eq!(delete.into_service_error().code(), Some("NotImplemented"));
    let folders: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(folders, [BUCKET]);
}

#[tokio::test]
async fn the_longest_key_that_fits_is_stored_and_a_longer_one_is_refused() {
    let client = s3(&aws());
    let mut key = "folder/".to_owned();
    let refused = loop {
        key.push('k');
        if let Err(refused) = client.put_object().bucket(BUCKET).key(&key).body(bytes("k")).send().await {
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
    let open = || s3(&aws_over(Objects::open(dir.path(), &[BUCKET]).unwrap()));
    let before = open();
    let request = before.put_object().bucket(BUCKET).key("kept").body(bytes("kept"));
    let tag = request.content_type("text/plain").send().await.unwrap().e_tag;
    drop(before);
    let after = open();
    assert_eq!(get(&after, "kept").await, b"kept");
    let head = after.head_object().bucket(BUCKET).key("kept").send().await.unwrap();
    assert_eq!((head.content_type(), head.e_tag()), (Some("text/plain"), tag.as_deref()));
}
