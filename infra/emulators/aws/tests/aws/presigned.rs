//! Presigned URLs, used by a client without AWS code.

use std::time::{Duration, SystemTime};

use af_emulator_aws::LocalAws;
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::types::ChecksumMode;
use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::objects::{BUCKET, MANY_BYTES, UNDECLARED, aws, bytes, get, put, s3};
use crate::{START, signed};

/// The SHA-256 of `right`, in Base64.
const SHA256_OF_RIGHT: &str = "JwQvTm7KfQsqfuQCbfLs+lHTM55tEiqgmRGOzYVjutk=";

fn minutes(minutes: u64) -> PresigningConfig {
    PresigningConfig::expires_in(Duration::from_secs(60 * minutes)).unwrap()
}

async fn get_url(client: &Client, key: &str) -> String {
    let signed = client.get_object().bucket(BUCKET).key(key).presigned(minutes(5)).await;
    signed.unwrap().uri().to_owned()
}

async fn put_url(client: &Client, key: &str) -> String {
    let signed = client.put_object().bucket(BUCKET).key(key).presigned(minutes(5)).await;
    signed.unwrap().uri().to_owned()
}

async fn send(method: Method, url: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.request(method, url).body(body).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The response to a GET without additional headers.
async fn fetch(url: &str) -> (u16, String) {
    send(Method::GET, url, "").await
}

async fn send_signed(signed: &PresignedRequest, body: &'static str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.request(signed.method().parse().unwrap(), signed.uri()).body(body);
    for (name, value) in signed.headers() {
        request = request.header(name, value);
    }
    request.send().await.unwrap().status().as_u16()
}

/// An AWS with a served endpoint, and the URL of the endpoint.
async fn served() -> (LocalAws, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let aws = aws().with_endpoint_url(&url);
    let router = aws.endpoint_router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (aws, url)
}

#[tokio::test]
async fn a_presigned_put_and_get_carry_an_object_over_loopback() {
    let (aws, url) = served().await;
    let client = s3(&aws);
    assert_eq!(send(Method::PUT, &put_url(&client, "dir/a b+ü").await, "hello").await.0, 200);
    assert_eq!(get(&client, "dir/a b+ü").await, b"hello");
    assert_eq!(fetch(&get_url(&client, "dir/a b+ü").await).await, (200, "hello".to_owned()));

    let signed = client.head_object().bucket(BUCKET).key("dir/a b+ü").presigned(minutes(5)).await.unwrap();
    let head =
        reqwest::Client::builder().no_proxy().build().unwrap().head(signed.uri()).send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["content-length"]), (200, &"5".parse().unwrap()));

    put(&client, "plain", bytes("hello")).await;
    let (status, body) = fetch(&format!("{url}/{}/plain", BUCKET)).await;
    assert!(status == 403 && body.contains("AccessDenied"), "{status} {body}");
}

#[tokio::test]
async fn a_body_of_many_megabytes_passes_the_endpoint() {
    let (aws, _) = served().await;
    let client = s3(&aws);
    let many = "agent ".repeat(MANY_BYTES / 6);
    assert_eq!(send(Method::PUT, &put_url(&client, "many").await, many.clone()).await.0, 200);
    let (status, got) = fetch(&get_url(&client, "many").await).await;
    assert!(status == 200 && got == many);
}

#[tokio::test]
async fn a_presigned_url_allows_only_the_signed_request() {
    let (aws, _) = served().await;
    let client = s3(&aws);
    put(&client, "a", bytes("a")).await;
    put(&client, "b", bytes("b")).await;
    let url = get_url(&client, "a").await;
    assert_eq!(fetch(&url.replace("/a?", "/b?")).await.0, 403);
    assert_eq!(fetch(&url.replace("X-Amz-Expires=300", "X-Amz-Expires=301")).await.0, 403);
    assert_eq!(send(Method::PUT, &url, "changed").await.0, 403);
    let (rest, last) = url.split_at(url.find("X-Amz-Signature=").unwrap() + "X-Amz-Signature=".len());
    let wrong: String = last.chars().map(|c| if c == '0' { '1' } else { '0' }).collect();
    let (status, body) = fetch(&format!("{rest}{}", &wrong[..64])).await;
    assert!(status == 403 && body.contains("SignatureDoesNotMatch"), "{status} {body}");
    assert_eq!(fetch(&url).await, (200, "a".to_owned()));
    assert_eq!(get(&client, "a").await, b"a");

    let elsewhere = client.put_object().bucket(UNDECLARED).key("a").presigned(minutes(5)).await.unwrap();
    assert_eq!(send(Method::PUT, elsewhere.uri(), "a").await.0, 404);
}

#[tokio::test]
async fn a_url_that_has_expired_is_refused() {
    let (aws, _) = served().await;
    let client = s3(&aws);
    put(&client, "a", bytes("a")).await;
    let start =
        SystemTime::UNIX_EPOCH + Duration::from_millis(START.as_millis()) - Duration::from_secs(365 * 86_400);
    let config =
        PresigningConfig::builder().start_time(start).expires_in(Duration::from_secs(60)).build().unwrap();
    let signed = client.get_object().bucket(BUCKET).key("a").presigned(config).await.unwrap();
    let (status, body) = fetch(signed.uri()).await;
    assert!(status == 403 && body.contains("Request has expired"), "{status} {body}");
}

#[tokio::test]
async fn a_body_that_contradicts_the_signed_checksum_is_refused() {
    let (aws, _) = served().await;
    let client = s3(&aws);
    let request = client.put_object().bucket(BUCKET).key("a").checksum_sha256(SHA256_OF_RIGHT);
    let signed = request.presigned(minutes(5)).await.unwrap();
    put(&client, "a", bytes("earlier")).await;
    assert_eq!(send_signed(&signed, "wrong").await, 400);
    assert_eq!(get(&client, "a").await, b"earlier", "a refused body leaves the object");
    assert_eq!(send_signed(&signed, "right").await, 200);
    let head = client.head_object().bucket(BUCKET).key("a").checksum_mode(ChecksumMode::Enabled);
    assert_eq!(head.send().await.unwrap().checksum_sha256(), Some(SHA256_OF_RIGHT));
}

#[tokio::test]
async fn a_header_of_aws_that_is_not_signed_is_refused() {
    let (aws, _) = served().await;
    let client = s3(&aws);
    let url = put_url(&client, "a").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (name, value) in [("x-amz-meta-kind", "note"), ("x-amz-checksum-sha256", SHA256_OF_RIGHT)] {
        let sent = http.put(&url).header(name, value).body("right").send().await.unwrap();
        let (status, body) = (sent.status().as_u16(), sent.text().await.unwrap());
        assert!(status == 403 && body.contains("not signed"), "{name}: {status} {body}");
    }
    assert_eq!(fetch(&get_url(&client, "a").await).await.0, 404, "nothing was stored");
    assert_eq!(http.put(&url).header("x-other", "1").body("right").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_that_ends_early_leaves_the_object() {
    let (aws, url) = served().await;
    let client = s3(&aws);
    put(&client, "a", bytes("earlier")).await;
    let address = put_url(&client, "a").await.replacen(&url, "", 1);
    let mut connection = tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let host = url.trim_start_matches("http://");
    let head = format!("PUT {address} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 100\r\n\r\nhalf");
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(get(&client, "a").await, b"earlier");
}

#[tokio::test]
async fn the_endpoint_also_serves_the_other_services() {
    let (_aws, url) = served().await;
    let ask = async |target: &str, body: &str| {
        let response = signed::post(&url, &signed::default_credentials(), target, body).await;
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(ask("DynamoDB_20120810.ListTables", "{}").await.0, 200);
    let batch = r#"{"SecretIdList": ["a"]}"#;
    assert_eq!(ask("secretsmanager.BatchGetSecretValue", batch).await.0, 200);
    assert_eq!(ask("AmazonSQS.SendMessage", "{}").await.0, 501);
}
