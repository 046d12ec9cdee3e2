//! HTTP requests as events of API Gateway and of function URLs (payload format 2.0), and the answers of functions to them.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::collections::BTreeMap;

use af_domain::time::Timestamp;
use af_http::ClientAddress;
use anyhow::Context;
use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

/// The route key of a function URL.
const DEFAULT_ROUTE: &str = "$default";
/// The separator between the head and the body of a streamed answer.
const END_OF_HEAD: [u8; 8] = [0; 8];
/// The largest head of a streamed answer in bytes: more than any server accepts as headers.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The source of a request.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A route of the HTTP API, such as `GET /v1/agents/{agentKey}`.
    Route(String),
    /// The URL of the function.
    FunctionUrl,
}

/// The event of a request with this id.
pub(super) fn event(parts: &Parts, body: &[u8], source: &Source, id: &str, now: Timestamp) -> Value {
    let (path, (body, is_base64)) = (parts.uri.path(), encoded(parts, body));
    let (route, raw_path) = match source {
        // An HTTP API decodes the path.
        Source::Route(route) => (route.as_str(), decoded(path)),
        Source::FunctionUrl => (DEFAULT_ROUTE, path.to_owned()),
    };
    let header = |name: http::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let mut headers = BTreeMap::new();
    for name in parts.headers.keys().filter(|name| **name != COOKIE) {
        let values =
            parts.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        headers.insert(name.as_str(), values.collect::<Vec<_>>().join(","));
    }
    let cookies = parts.headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let cookies: Vec<_> = cookies.flat_map(|cookies| cookies.split("; ")).collect();
    let address = parts.extensions.get::<ClientAddress>().map(|address| address.0.to_string());
    json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": raw_path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "cookies": cookies,
        "headers": headers,
        "pathParameters": path_parameters(route, path),
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "http": {
                "method": parts.method.as_str(),
                "path": raw_path,
                "protocol": "HTTP/1.1",
                "sourceIp": address,
                "userAgent": header(http::header::USER_AGENT),
            },
            "requestId": id,
            "routeKey": route,
            "stage": "$default",
            "timeEpoch": now.as_millis(),
        },
        "body": body,
        "isBase64Encoded": is_base64,
    })
}

/// The body as an event holds it: text as it is, everything else in Base64.
fn encoded(parts: &Parts, body: &[u8]) -> (String, bool) {
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_text = kind.starts_with("text/") || ["json", "javascript", "xml"].iter().any(|k| kind.contains(k));
    match std::str::from_utf8(body) {
        Ok(text) if is_text => (text.to_owned(), false),
        _ => (STANDARD.encode(body), true),
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The decoded values of the variables in the path of the route.
fn path_parameters(route: &str, path: &str) -> BTreeMap<String, String> {
    let pattern = route.split_once(' ').map_or("", |(_, pattern)| pattern);
    let mut parameters = BTreeMap::new();
    for (place, segment) in pattern.split('/').enumerate() {
        let Some(name) = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) else {
            continue;
        };
        let (name, values) = match name.strip_suffix('+') {
            Some(name) => (name, path.splitn(place + 1, '/').nth(place)),
            None => (name, path.split('/').nth(place)),
        };
        parameters.insert(name.to_owned(), decoded(values.unwrap_or_default()));
    }
    parameters
}

/// The head of an answer. Only the head of a whole answer has the body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    cookies: Vec<String>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

impl Head {
    fn response(&self, body: Body) -> anyhow::Result<Response> {
        let mut response = Response::builder().status(self.status_code);
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != CONTENT_LENGTH.as_str()) {
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for value in values.iter().filter_map(Value::as_str) {
                response = response.header(name, value);
            }
        }
        for cookie in &self.cookies {
            response = response.header(SET_COOKIE, cookie);
        }
        response.body(body).context("the answer is no HTTP response")
    }
}

/// The response in a whole answer.
pub(super) fn whole(answer: &[u8]) -> anyhow::Result<Response> {
    let head: Head = serde_json::from_slice(answer).context("the answer has not the form of API Gateway")?;
    let text = head.body.clone().unwrap_or_default();
    let body = if head.is_base64_encoded { STANDARD.decode(text)? } else { text.into_bytes() };
    head.response(Body::from(body))
}

/// The response in a streamed answer: its head as JSON, eight zero bytes, and its body.
pub(super) async fn streamed<S, E>(mut answer: S) -> anyhow::Result<Response>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut read = BytesMut::new();
    loop {
        let chunk = answer.next().await.context("the answer ended before its body")??;
        read.extend_from_slice(&chunk);
        if let Some(at) = read.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD) {
            let head: Head = serde_json::from_slice(&read[..at]).context("the head of the answer")?;
            let rest = read.freeze().slice(at + END_OF_HEAD.len()..);
            let rest = futures::stream::iter((!rest.is_empty()).then_some(Ok(rest)));
            return head.response(Body::from_stream(rest.chain(answer)));
        }
        anyhow::ensure!(read.len() <= MAX_HEAD_BYTES, "the head of the answer is too large");
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn event_of(request: http::Request<()>, body: &[u8], source: Source) -> Value {
        event(&request.into_parts().0, body, &source, "r1", NOW)
    }

    #[test]
    fn a_route_decodes_its_path_and_names_its_parameters() {
        let request = http::Request::post("/v1/users/a%2541%20b/files/x/y%23z?q=a%20b&q=2")
            .header("content-type", "application/json")
            .header("x-many", "1")
            .header("x-many", "2")
            .header("cookie", "a=1; b=2")
            .header("cookie", "c=3");
        let source = Source::Route("POST /v1/users/{userId}/files/{rest+}".to_owned());
        let event = event_of(request.body(()).unwrap(), b"{}", source);
        assert_eq!(event["rawPath"], "/v1/users/a%41 b/files/x/y#z");
        assert_eq!(event["pathParameters"], json!({"userId": "a%41 b", "rest": "x/y#z"}));
        assert_eq!(event["rawQueryString"], "q=a%20b&q=2");
        assert_eq!(event["headers"], json!({"content-type": "application/json", "x-many": "1,2"}));
        assert_eq!(event["cookies"], json!(["a=1", "b=2", "c=3"]));
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{}"), &json!(false)));
    }

    #[test]
    fn a_function_url_keeps_its_path_encoded() {
        let request = http::Request::get("/v1/users/a%20b").body(()).unwrap();
        let event = event_of(request, b"", Source::FunctionUrl);
        assert_eq!((&event["rawPath"], &event["routeKey"]), (&json!("/v1/users/a%20b"), &json!("$default")));
    }

    #[test]
    fn a_body_that_is_not_text_is_base64() {
        for (kind, body) in [("application/gzip", &b"abc"[..]), ("application/json", &[0xff])] {
            let request = http::Request::post("/").header("content-type", kind).body(()).unwrap();
            let event = event_of(request, body, Source::Route("POST /".to_owned()));
            assert_eq!(event["body"], STANDARD.encode(body));
            assert_eq!(event["isBase64Encoded"], true);
        }
    }

    #[tokio::test]
    async fn a_whole_answer_becomes_a_response() {
        let answer = json!({
            "statusCode": 201, "headers": {"x-a": "1"}, "cookies": ["s=1", "t=2"], "body": "AAE=",
            "isBase64Encoded": true,
        });
        let response = whole(answer.to_string().as_bytes()).unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["x-a"]), (201, &"1".parse().unwrap()));
        assert_eq!(response.headers().get_all(SET_COOKIE).iter().count(), 2);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), [0, 1][..]);
        assert!(whole(b"[]").is_err());
    }

    #[tokio::test]
    async fn a_streamed_answer_has_its_head_before_eight_zero_bytes() {
        let chunks = ["{\"statusCode\":200,\"headers\":{\"x-a\":\"1\"}}\0\0\0", "\0\0\0\0\0da", "ta"];
        let chunks = futures::stream::iter(chunks.map(|chunk| Ok::<_, std::io::Error>(chunk.into())));
        let response = streamed(chunks).await.unwrap();
        assert_eq!(response.headers()["x-a"], "1");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "data");
    }
}
