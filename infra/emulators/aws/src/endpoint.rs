//! The embedded AWS over loopback HTTP, for functions that run in their own process with `AWS_ENDPOINT_URL`, and for
//! clients with a presigned URL.
//!
//! Every request must be signed with the credentials of this AWS, because every process and every web page on the
//! machine can reach the endpoint. Requests without a socket are ours and are not checked, except those for objects.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::any;
use data_encoding::HEXLOWER;
use http::StatusCode;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::signature::{self, Unsigned};
use super::wire::Reply;
use super::{LocalAws, MAX_BODY_BYTES, empty, wire};

/// The services with a JSON protocol, as signatures name them.
const SIGNED_SERVICES: [&str; 2] = ["dynamodb", "secretsmanager"];

impl LocalAws {
    /// The routes of an endpoint for all services. Bodies of objects are streamed in both directions.
    pub fn endpoint_router(&self) -> Router {
        Router::new().fallback(any(answer)).with_state(self.clone())
    }

    /// Checks the signature of a request of a JSON protocol. The body is read only if the request names the key id.
    async fn verified(&self, request: http::Request<Body>) -> Result<http::Request<Body>, Response> {
        let (parts, body) = request.into_parts();
        signature::check_key_id(&parts, &self.credentials).map_err(refused)?;
        let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
            return Err(empty(StatusCode::PAYLOAD_TOO_LARGE));
        };
        let sha256 = HEXLOWER.encode(&Sha256::digest(&body));
        let signer = signature::Signer { credentials: &self.credentials, services: &SIGNED_SERVICES };
        signature::verify(&parts, &[], signature::now(), &signer, Some(sha256)).map_err(refused)?;
        Ok(http::Request::from_parts(parts, Body::from(body)))
    }
}

async fn answer(State(aws): State<LocalAws>, request: http::Request<Body>) -> Response {
    let request = match wire::is_targeted(&request) {
        true => match aws.verified(request).await {
            Ok(request) => request,
            Err(refused) => return refused,
        },
        false => request,
    };
    let answered = aws.handle(request).await;
    // A handler cannot break the connection. An SDK treats this status as transient too.
    answered.unwrap_or_else(|_lost| empty(StatusCode::SERVICE_UNAVAILABLE))
}

fn refused(unsigned: Unsigned) -> Response {
    let body = json!({"__type": "UnrecognizedClientException", "message": unsigned.message});
    Reply { status: 400, body }.into_http().map(Body::from)
}
