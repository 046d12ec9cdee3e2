//! Who calls. An argument of one of these types stands before all others, so that nobody learns from a refused id or body
//! what they may not send at all.

use std::sync::Arc;

use af_app::App;
use af_app::access::worker_token::{Signed, examine, verify};
use af_domain::ids::WorkerId;
use af_http::{Bearer, Problem};
use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use tracing::Span;

/// The worker whose token this is.
#[derive(Debug)]
pub struct Caller(pub WorkerId);

/// The same; `None` when the token has expired, and its worker shall be told to stop.
#[derive(Debug)]
pub struct Told(pub Option<WorkerId>);

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    Arc<App>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, &()).await?;
        let worker = verify(&Arc::<App>::from_ref(state), bearer.expose()).await?;
        Span::current().record("worker_id", worker.as_str());
        Ok(Self(worker))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Told
where
    Arc<App>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, &()).await?;
        let signed = examine(&Arc::<App>::from_ref(state), bearer.expose()).await?;
        let (Signed::Good(worker) | Signed::Expired(worker)) = &signed;
        Span::current().record("worker_id", worker.as_str());
        Ok(Self(match signed {
            Signed::Good(worker) => Some(worker),
            Signed::Expired(_) => None,
        }))
    }
}
