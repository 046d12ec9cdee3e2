//! The caller. The argument comes before the body, so that a caller without the scope learns nothing from a refused
//! body.

use std::sync::Arc;

use af_api::keys::Scope;
use af_app::App;
use af_app::access::auth::{Caller, admit};
use af_aws::objects::Objects;
use af_http::{Bearer, Problem};
use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::State;

/// A consumer app: scope `app`.
pub struct ConsumerApp {
    pub app: Arc<App>,
    /// The bucket.
    pub objects: Objects,
    pub caller: Caller,
}

impl FromRequestParts<State> for ConsumerApp {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, (app, objects): &State) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, &()).await?;
        let caller = admit(app, bearer.expose(), &[Scope::App]).await?;
        Ok(Self { app: app.clone(), objects: objects.clone(), caller })
    }
}
