//! The caller. The argument comes before the body, so that a caller without the scope learns nothing from a refused
//! body.

use std::sync::Arc;

use af_app::App;
use af_app::access::auth::{Caller, Scope, admit};
use af_http::{Bearer, Problem};
use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;

/// A consumer app: scope `app`.
#[derive(Debug)]
pub struct ConsumerApp(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for ConsumerApp
where
    Arc<App>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, &()).await?;
        Ok(Self(admit(&Arc::from_ref(state), bearer.expose(), &[Scope::App]).await?))
    }
}
