//! What handlers take from a request. Every refusal is a [`Problem`](crate::Problem).

mod bearer;
mod idempotency;
mod json;
mod path;
mod public_url;
mod query;
mod shape;
mod strict;

pub use bearer::Bearer;
pub use idempotency::IdempotencyKey;
pub use json::{ApiJson, parse_value};
pub use path::{ApiPath, PathParam, PathParams, path_parameter};
pub use public_url::PublicUrl;
pub use query::ApiQuery;
