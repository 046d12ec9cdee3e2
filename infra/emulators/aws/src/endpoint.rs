//! The embedded AWS over loopback HTTP, for functions that run in processes of their own against
//! `AWS_ENDPOINT_URL`, and for clients with a presigned URL.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::any;
use http::StatusCode;

use super::{LocalAws, empty};

impl LocalAws {
    /// The routes of an endpoint for every service here. Bodies of objects are streamed both ways.
    pub fn endpoint_router(&self) -> Router {
        Router::new().fallback(any(answer)).with_state(self.clone())
    }
}

async fn answer(State(aws): State<LocalAws>, request: http::Request<Body>) -> Response {
    let answered = aws.handle(request.map(s3s::Body::http_body_unsync)).await;
    // A handler cannot break the connection. For an SDK this status is as transient.
    answered.unwrap_or_else(|_lost| empty(StatusCode::SERVICE_UNAVAILABLE)).map(Body::new)
}
