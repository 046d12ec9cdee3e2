//! The calling worker. A handler takes one of these extractors before all its other arguments. So a caller without a
//! valid token is refused before its ids and body are read.

use af_app::access::worker_token::{Signed, examine, verify};
use af_domain::ids::WorkerId;
use af_http::{Bearer, Problem};
use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use tracing::Span;

use crate::state::SharedApp;

/// The worker that the token was made for.
#[derive(Debug)]
pub struct Caller(pub WorkerId);

/// The worker that the token was made for; `None` when the token has expired. Such a worker gets a control state that
/// tells it to stop.
#[derive(Debug)]
pub struct MaybeExpiredWorker(pub Option<WorkerId>);

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    SharedApp: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, &()).await?;
        let worker = verify(&SharedApp::from_ref(state), bearer.expose()).await?;
        Span::current().record("worker_id", worker.as_str());
        Ok(Self(worker))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MaybeExpiredWorker
where
    SharedApp: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, &()).await?;
        let signed = examine(&SharedApp::from_ref(state), bearer.expose()).await?;
        let (Signed::Good(worker) | Signed::Expired(worker)) = &signed;
        Span::current().record("worker_id", worker.as_str());
        Ok(Self(match signed {
            Signed::Good(worker) => Some(worker),
            Signed::Expired(_) => None,
        }))
    }
}
