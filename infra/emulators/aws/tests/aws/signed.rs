//! The credentials that the endpoint wants.

use std::time::SystemTime;

use af_emulator_aws::{Credentials, Engine, LocalAws, Secrets};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::{Client, Response};

use super::clock;

pub(crate) fn credentials(key_id: &str, secret: &str) -> Credentials {
    Credentials::new(key_id, secret, None, None, "tests")
}

/// The credentials of an AWS that was given none.
pub(crate) fn default_credentials() -> Credentials {
    credentials("local", "local")
}

/// Sends a request of a JSON protocol, signed as the SDK signs it.
pub(crate) async fn post(url: &str, credentials: &Credentials, target: &str, body: &str) -> Response {
    let service = if target.starts_with("secretsmanager") { "secretsmanager" } else { "dynamodb" };
    send(url, credentials, service, target, body, body).await
}

/// Sends `body` with the signature for `signed`.
async fn send(
    url: &str,
    credentials: &Credentials,
    service: &str,
    target: &str,
    signed: &str,
    body: &str,
) -> Response {
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder().identity(&identity).region("local").name(service);
    let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(now_ms());
    let params = params.time(now).settings(SigningSettings::default()).build().unwrap().into();
    let headers = [("x-amz-target", target)].into_iter();
    let signable = SignableRequest::new("POST", url, headers, SignableBody::Bytes(signed.as_bytes()));
    let (instructions, _) = sign(signable.unwrap(), &params).unwrap().into_parts();
    let mut request = http::Request::post(url).header("x-amz-target", target).body(body.to_owned()).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    let client = Client::builder().no_proxy().build().unwrap();
    client.execute(request.try_into().unwrap()).await.unwrap()
}

fn now_ms() -> u64 {
    af_runtime::clock::Clock::now(&af_runtime::clock::SystemClock).as_millis()
}

#[tokio::test]
async fn the_aws_endpoint_wants_the_credentials_it_printed() {
    let ours = credentials("dev-key", "dev-secret");
    let aws = LocalAws::new(Engine::memory(clock().1).unwrap(), Secrets::memory());
    let router = aws.with_credentials(ours.clone()).endpoint_router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (list, secrets) = ("DynamoDB_20120810.ListTables", "secretsmanager.BatchGetSecretValue");
    assert_eq!(post(&url, &ours, list, "{}").await.status(), 200);
    assert_eq!(post(&url, &ours, secrets, r#"{"SecretIdList": ["a"]}"#).await.status(), 200);

    let client = Client::builder().no_proxy().build().unwrap();
    let unsigned = client.post(&url).header("x-amz-target", secrets).body("{}").send().await.unwrap();
    let others = [
        ("unsigned", unsigned),
        ("another key", post(&url, &default_credentials(), list, "{}").await),
        ("another secret", post(&url, &credentials("dev-key", "guessed"), list, "{}").await),
        ("another service", send(&url, &ours, "s3", list, "{}", "{}").await),
        ("another body", send(&url, &ours, "dynamodb", list, "{}", r#"{"Limit": 1}"#).await),
    ];
    for (case, refused) in others {
        let (status, body) = (refused.status().as_u16(), refused.text().await.unwrap());
        assert!(status == 400 && body.contains("UnrecognizedClientException"), "{case}: {status} {body}");
    }
}

#[tokio::test]
async fn a_body_without_the_key_id_is_not_read() {
    let aws = LocalAws::new(Engine::memory(clock().1).unwrap(), Secrets::memory());
    let endless = axum::body::Body::from_stream(futures::stream::poll_fn(|_| {
        panic!("the body is read before the key id is checked")
            as std::task::Poll<Option<Result<&str, axum::Error>>>
    }));
    let request =
        http::Request::post("/").header("x-amz-target", "DynamoDB_20120810.ListTables").body(endless);
    let answer = tower::ServiceExt::oneshot(aws.endpoint_router(), request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 400);
}
