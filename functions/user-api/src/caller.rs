//! Who calls. The argument stands before the body, so that nobody learns from a refused body what they may not send
//! at all.

use std::sync::Arc;

use af_app::App;
use af_app::auth::{Caller, Scope, admit};
use af_http::{Bearer, Problem};
use axum::extract::FromRequestParts;
use http::request::Parts;

/// A consumer app: scope `app`.
#[derive(Debug)]
pub struct ConsumerApp(pub Caller);

impl FromRequestParts<Arc<App>> for ConsumerApp {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, &()).await?;
        Ok(Self(admit(app, bearer.expose(), &[Scope::App]).await?))
    }
}
