//! The caller. The argument comes before the query, so that a caller without the scope learns nothing from a refused query.

use std::sync::Arc;

use af_app::App;
use af_app::access::auth::{Caller, admit_for_user};
use af_http::{Bearer, Problem, path_parameter};
use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::State;

/// A caller of a user's routes: a consumer app with the scope `app`, or the user with a token.
pub struct ConsumerApp {
    pub app: Arc<App>,
    pub caller: Caller,
}

impl FromRequestParts<State> for ConsumerApp {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &State) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, &()).await?;
        let user = path_parameter(parts, "consumerUserId").await;
        let caller = admit_for_user(app, bearer.expose(), user.as_deref()).await?;
        Ok(Self { app: app.clone(), caller })
    }
}
