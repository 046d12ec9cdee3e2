//! HTTP conventions: problem+json, keys and tokens, extractors, tracing, pagination.
//!
//! The handlers of a function take [`ApiJson`], [`ApiPath`], [`ApiQuery`] and [`Bearer`], and return
//! `Result<_, Problem>`. [`service`] adds the steps that all requests share to the router of a function.

mod auth_limit;
mod cursor;
mod emf;
mod extract;
mod lambda;
mod problem;
mod request_id;
mod service;
mod trace;

pub use auth_limit::{ClientAddress, RefusedCredential};
pub use axum::Json;
pub use cursor::CursorKey;
pub use extract::{
    ApiJson, ApiPath, ApiQuery, Bearer, IdempotencyKey, PathParam, PathParams, PublicUrl, parse_value,
    path_parameter,
};
pub use http::StatusCode;
pub use lambda::{lambda_service, run_on_lambda, run_streaming_on_lambda};
pub use problem::{Chain, Problem, status};
pub use request_id::{RequestId, X_REQUEST_ID};
pub use service::{MAX_BODY_BYTES, service};
pub use trace::{init_tracing, log_filter};
