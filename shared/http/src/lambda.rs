//! The differences between a request from API Gateway and one from a socket: API Gateway decodes the path, it knows the
//! address of the client, and it has ids of the request.
//!
//! An HTTP API hands its function the path percent-decoded (`rawPath`, unlike its name, and the path parameters).
//! Routed as it is, an id would be decoded twice (`%2541` would end as `A`), and an id with `#` would end the path.
//! So this module builds the path again from the route and its encoded parameters; handlers then decode it once, as
//! everywhere else.

use axum::Router;
use http::Uri;
use http::uri::PathAndQuery;
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tower::util::MapRequest;

use crate::auth_limit::ClientAddress;

/// What a path segment may hold unencoded (RFC 3986, "unreserved").
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The service of a function behind API Gateway, for `lambda_http::run(af_http::lambda(router))`.
pub fn lambda(router: Router) -> MapRequest<Router, fn(Request) -> Request> {
    MapRequest::new(router, with_encoded_path)
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

/// `None` when the gateway names no route, or a route with a greedy parameter. The path stays unchanged then.
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
            Some(name) => target.extend(utf8_percent_encode(parameters.first(name)?, ENCODED)),
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
