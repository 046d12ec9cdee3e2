//! The caller. An argument of one of these types limits a handler to certain scopes. It comes before the body, so that
//! a caller without the scope learns nothing from a refused body.

use std::sync::Arc;

use af_app::App;
use af_app::access::auth::{Caller, Scope, admit};
use af_http::{Bearer, Problem};
use axum::extract::FromRequestParts;
use http::request::Parts;

/// A caller that may change things: scope `admin`.
#[derive(Debug)]
pub struct Operator(pub Caller);

/// A caller that may read: scope `admin` or `read`.
#[derive(Debug)]
pub struct Viewer;

/// A caller that may enqueue: scope `admin` or `app`.
#[derive(Debug)]
pub struct Sender(pub Caller);

async fn admitted(parts: &mut Parts, app: &App, scopes: &[Scope]) -> Result<Caller, Problem> {
    let bearer = Bearer::from_request_parts(parts, &()).await?;
    Ok(admit(app, bearer.expose(), scopes).await?)
}

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        admitted(parts, app, &[Scope::Admin]).await.map(Self)
    }
}

impl FromRequestParts<Arc<App>> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        admitted(parts, app, &[Scope::Admin, Scope::Read]).await.map(|_| Self)
    }
}

impl FromRequestParts<Arc<App>> for Sender {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        admitted(parts, app, &[Scope::Admin, Scope::App]).await.map(Self)
    }
}
