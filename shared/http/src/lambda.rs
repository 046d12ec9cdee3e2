//! The differences between a request from API Gateway and one from a socket: API Gateway decodes the path, it knows the
//! address of the client, and it has ids of the request.
//!
//! An HTTP API hands its function the path percent-decoded (`rawPath`, unlike its name, and the path parameters).
//! Routed as it is, an id would be decoded twice (`%2541` would end as `A`), and an id with `#` would end the path.
//! So this module builds the path again from the route and its encoded parameters; handlers then decode it once, as
//! everywhere else.
//!
//! The gateway also passes on characters that no URI may contain, for which `lambda_http` panics. They are encoded first.

use std::convert::Infallible;

use axum::Router;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, HeaderValue, Uri};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Adapter, LambdaEvent, Request, RequestExt as _, Service, StreamAdapter};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tower::util::MapRequest;

use crate::auth_limit::ClientAddress;

/// What a path segment may hold unencoded (RFC 3986, "unreserved").
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What a greedy parameter may hold unencoded: also the slashes between its segments.
const ENCODED_GREEDY: &AsciiSet = &ENCODED.remove(b'/');

/// What no query of a URI may contain.
const NOT_IN_QUERY: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'\\').add(b'^');
/// What ends a path, or what none may contain.
const NOT_IN_PATH: &AsciiSet = &NOT_IN_QUERY.add(b'?').add(b'`').add(b'{').add(b'|').add(b'}');
/// The header with the scheme of the client's request.
const SCHEME: HeaderName = HeaderName::from_static("x-forwarded-proto");

type HttpEvent = LambdaEvent<ApiGatewayV2httpRequest>;

/// Answers the requests of API Gateway until Lambda stops the function.
///
/// # Errors
/// Returns an error if the process does not run on Lambda, or if Lambda's Runtime API does not answer.
pub async fn run_on_lambda(router: Router) -> Result<(), lambda_http::Error> {
    lambda_http::lambda_runtime::run(lambda_service(router)).await
}

/// Answers the requests of a function URL, as [`run_on_lambda`], with streamed responses.
///
/// # Errors
/// As [`run_on_lambda`].
pub async fn run_streaming_on_lambda(router: Router) -> Result<(), lambda_http::Error> {
    let service = StreamAdapter::from(MapRequest::new(router, with_encoded_path));
    lambda_http::lambda_runtime::run(MapRequest::new(service, with_valid_uri)).await
}

/// The service that [`run_on_lambda`] runs. A test may call it.
pub fn lambda_service(
    router: Router,
) -> impl Service<HttpEvent, Response = impl Serialize, Error = Infallible, Future: Send> {
    let service = Adapter::from(MapRequest::new(router, with_encoded_path));
    MapRequest::new(service, with_valid_uri)
}

/// Encodes what would make the URI of the request invalid, and removes headers that cannot be a part of it.
fn with_valid_uri(event: HttpEvent) -> LambdaEvent<LambdaRequest> {
    let LambdaEvent { payload: mut request, context } = event;
    let encoded = |text: String, set| utf8_percent_encode(&text, set).to_string();
    request.raw_query_string = request.raw_query_string.map(|query| encoded(query, NOT_IN_QUERY));
    request.raw_path = request.raw_path.map(|path| encoded(path, NOT_IN_PATH));
    let is_authority = |host: &HeaderValue| host.to_str().is_ok_and(|host| host.parse::<Authority>().is_ok());
    if request.headers.get(HOST).is_some_and(|host| !is_authority(host)) {
        request.headers.remove(HOST);
    }
    if request.headers.get(&SCHEME).is_some_and(|scheme| scheme != "https" && scheme != "http") {
        request.headers.remove(&SCHEME);
    }
    LambdaEvent::new(LambdaRequest::ApiGatewayV2(request), context)
}

/// The ids of a request in the other logs of AWS.
#[derive(Clone, Debug, Default)]
pub(crate) struct AwsIds {
    /// `requestId` of the access log. `None` when the request came through the URL of a function.
    pub(crate) gateway: Option<String>,
    /// `functionRequestId` of the access log, and `requestId` of the lines that Lambda itself logs.
    pub(crate) function: Option<String>,
}

fn with_encoded_path(mut request: Request) -> Request {
    let ids = aws_ids(&request);
    request.extensions_mut().insert(ids);
    if let Some(address) = address(&request) {
        request.extensions_mut().insert(address);
    }
    if let Some(uri) = encoded_uri(&request) {
        *request.uri_mut() = uri;
    }
    request
}

fn aws_ids(request: &Request) -> AwsIds {
    let gateway = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.clone(),
        _ => None,
    };
    let function = request.lambda_context_ref().map(|context| context.request_id.clone());
    AwsIds { gateway, function }
}

fn address(request: &Request) -> Option<ClientAddress> {
    let RequestContext::ApiGatewayV2(context) = request.request_context_ref()? else {
        return None;
    };
    context.http.source_ip.as_deref()?.parse().ok().map(ClientAddress)
}

/// `None` when the gateway names no route. The path stays unchanged then.
fn encoded_uri(request: &Request) -> Option<Uri> {
    let RequestContext::ApiGatewayV2(context) = request.request_context_ref()? else {
        return None;
    };
    let (_method, route) = context.route_key.as_deref()?.split_once(' ')?;
    let parameters = request.path_parameters_ref()?;
    let mut target = String::new();
    for segment in route.split('/').skip(1) {
        target.push('/');
        match segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) {
            Some(name) => {
                // The gateway names a greedy parameter (`{path+}`) without its plus sign.
                let greedy = name.strip_suffix('+').map(|name| (name, ENCODED_GREEDY));
                let (name, encoded) = greedy.unwrap_or((name, ENCODED));
                target.extend(utf8_percent_encode(parameters.first(name)?, encoded));
            }
            None => target.push_str(segment),
        }
    }
    if let Some(query) = request.uri().query() {
        target.push('?');
        target.push_str(query);
    }
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}
