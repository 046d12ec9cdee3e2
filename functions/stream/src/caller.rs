//! The caller. The argument comes before the query, so that a caller without the scope learns nothing from a refused query.

use std::sync::Arc;

use af_api::keys::Scope;
use af_app::App;
use af_app::access::auth::admit;
use af_http::{Bearer, Problem};
use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::State;

/// A consumer app: scope `app`.
pub struct ConsumerApp {
    pub app: Arc<App>,
}

impl FromRequestParts<State> for ConsumerApp {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &State) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, &()).await?;
        admit(app, bearer.expose(), &[Scope::App]).await?;
        Ok(Self { app: app.clone() })
    }
}
