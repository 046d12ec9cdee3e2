//! The caller. The argument comes before the body, so that a caller without the scope learns nothing from a refused
//! body.

use std::sync::Arc;

use af_api::keys::Scope;
use af_app::App;
use af_app::access::auth::{Caller, admit, admit_for_user};
use af_aws::objects::Objects;
use af_domain::refusal::{Code, Refusal};
use af_http::{Bearer, Problem, path_parameter};
use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::State;

/// A caller of a user's routes: a consumer app with the scope `app`, or the user with a token.
pub struct ConsumerApp {
    pub app: Arc<App>,
    /// The bucket.
    pub objects: Objects,
    pub caller: Caller,
}

/// A consumer app with the scope `app`. A user token does not open these routes: they change what other users share.
pub struct KeyHolder {
    pub app: Arc<App>,
    pub caller: Caller,
}

impl ConsumerApp {
    /// Refuses a user token, because `what` concerns other people, too.
    pub fn require_key(&self, what: &str) -> Result<(), Refusal> {
        match self.caller.user {
            Some(_) => Err(Refusal::new(
                Code::Forbidden,
                format!("a user token cannot {what}; call with an API key"),
            )),
            None => Ok(()),
        }
    }
}

impl FromRequestParts<State> for ConsumerApp {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let (app, objects) = state;
        let bearer = Bearer::from_request_parts(parts, &()).await?;
        let user = path_parameter(parts, "consumerUserId").await;
        let caller = admit_for_user(app, bearer.expose(), user.as_deref()).await?;
        Ok(Self { app: app.clone(), objects: objects.clone(), caller })
    }
}

impl FromRequestParts<State> for KeyHolder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, (app, _): &State) -> Result<Self, Problem> {
        let bearer = Bearer::from_request_parts(parts, &()).await?;
        // A user token is valid, but opens no route without a user.
        let caller = match bearer.expose() {
            token if token.starts_with("afu_") => admit_for_user(app, token, None).await?,
            key => admit(app, key, &[Scope::App]).await?,
        };
        Ok(Self { app: app.clone(), caller })
    }
}
