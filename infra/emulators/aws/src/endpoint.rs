//! The embedded AWS over loopback HTTP, for functions that run in their own process with `AWS_ENDPOINT_URL`, and for
//! clients with a presigned URL.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::any;
use http::StatusCode;

use super::{LocalAws, empty};

impl LocalAws {
    /// The routes of an endpoint for all services. Bodies of objects are streamed in both directions.
    pub fn endpoint_router(&self) -> Router {
        Router::new().fallback(any(answer)).with_state(self.clone())
    }
}

async fn answer(State(aws): State<LocalAws>, request: http::Request<Body>) -> Response {
    let answered = aws.handle(request).await;
    // A handler cannot break the connection. An SDK treats this status as transient too.
    answered.unwrap_or_else(|_lost| empty(StatusCode::SERVICE_UNAVAILABLE))
}
