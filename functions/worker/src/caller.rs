//! The calling worker. A handler takes one of these extractors before all its other arguments. So a caller without a
//! valid token is refused before its ids and body are read.

use af_app::access::worker_token::{Signed, examine, verify};
use af_aws::objects::Objects;
use af_domain::ids::WorkerId;
use af_http::{Bearer, Problem};
use axum::extract::FromRequestParts;
use http::request::Parts;
use tracing::Span;

use crate::{SharedApp, WorkerState};

/// The worker that the token was made for, with the use cases and the bucket.
pub struct Caller {
    pub app: SharedApp,
    pub objects: Objects,
    pub worker: WorkerId,
}

/// The worker that the token was made for; `None` when the token has expired. Such a worker gets a control state that
/// tells it to stop.
pub struct MaybeExpiredWorker {
    pub app: SharedApp,
    pub worker: Option<WorkerId>,
}

impl FromRequestParts<WorkerState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &WorkerState) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, &()).await?;
        let WorkerState { app, objects } = state.clone();
        let worker = verify(&app, bearer.expose()).await?;
        Span::current().record("worker_id", worker.as_str());
        Ok(Self { app, objects, worker })
    }
}

impl FromRequestParts<WorkerState> for MaybeExpiredWorker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &WorkerState) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, &()).await?;
        let app = state.app.clone();
        let signed = examine(&app, bearer.expose()).await?;
        let (Signed::Good(worker) | Signed::Expired(worker)) = &signed;
        Span::current().record("worker_id", worker.as_str());
        let worker = match signed {
            Signed::Good(worker) => Some(worker),
            Signed::Expired(_) => None,
        };
        Ok(Self { app, worker })
    }
}
