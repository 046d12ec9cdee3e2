//! HTTP conventions: problem+json, keys and tokens, extractors, tracing, pagination.
//!
//! A function builds its router from handlers that take [`ApiJson`], [`ApiPath`], [`ApiQuery`], [`Bearer`] and
//! answer `Result<_, Problem>`, and hands it to [`service`], which does what all requests have in common.

mod cursor;
mod extract;
mod lambda;
mod problem;
mod request_id;
mod service;
mod trace;

pub use cursor::CursorKey;
pub use extract::{
    ApiJson, ApiPath, ApiQuery, Bearer, IdempotencyKey, PathParam, PathParams, PublicUrl, parse_json,
};
pub use lambda::lambda;
pub use problem::{Problem, status};
pub use request_id::{RequestId, X_REQUEST_ID};
pub use service::{BODY_BYTES_MAX, service};
pub use trace::init_tracing;
