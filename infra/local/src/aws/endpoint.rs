//! The embedded AWS over loopback HTTP, for functions that run in processes of their own against
//! `AWS_ENDPOINT_URL`.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::any;
use http::StatusCode;

use super::LocalAws;

/// The largest request body that DynamoDB accepts; none of Secrets Manager's comes near it.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

impl LocalAws {
    /// The routes of an endpoint for every service here.
    pub fn endpoint_router(&self) -> Router {
        Router::new()
            .fallback(any(answer))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(self.clone())
    }
}

async fn answer(State(aws): State<LocalAws>, request: http::Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        return status(StatusCode::PAYLOAD_TOO_LARGE);
    };
    match aws.handle(http::Request::from_parts(parts, body)).await {
        Ok(response) => response.map(Body::from),
        // A broken connection cannot be shown from within a handler; to an SDK this is as transient.
        Err(_lost) => status(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::from(Bytes::new()));
    *response.status_mut() = status;
    response
}
