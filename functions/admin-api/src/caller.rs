//! The caller. An argument of one of these types limits a handler to certain scopes and gives it the use cases. It comes
//! before the body, so that a caller without the scope learns nothing from a refused body.

use af_api::keys::Scope;
use af_app::App;
use af_app::access::auth::{Caller, admit};
use af_http::{Bearer, Problem};
use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::Shared;

/// A caller that may change things: scope `admin`.
pub struct Operator {
    pub app: Shared,
    pub caller: Caller,
}

/// A caller that may read: scope `admin` or `read`.
pub struct Viewer(pub Shared);

/// A caller with any key: scope `admin`, `read` or `app`.
pub struct AnyKey {
    pub app: Shared,
    pub caller: Caller,
}

/// A caller that may enqueue and configure webhooks: scope `admin` or `app`.
pub struct Sender {
    pub app: Shared,
    pub caller: Caller,
}

async fn admitted(parts: &mut Parts, app: &App, scopes: &[Scope]) -> Result<Caller, Problem> {
    let bearer = Bearer::from_request_parts(parts, &()).await?;
    Ok(admit(app, bearer.expose(), scopes).await?)
}

impl FromRequestParts<Shared> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let caller = admitted(parts, app, &[Scope::Admin]).await?;
        Ok(Self { app: app.clone(), caller })
    }
}

impl FromRequestParts<Shared> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        admitted(parts, app, &[Scope::Admin, Scope::Read]).await?;
        Ok(Self(app.clone()))
    }
}

impl FromRequestParts<Shared> for AnyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let caller = admitted(parts, app, &[Scope::Admin, Scope::Read, Scope::App]).await?;
        Ok(Self { app: app.clone(), caller })
    }
}

impl FromRequestParts<Shared> for Sender {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        let caller = admitted(parts, app, &[Scope::Admin, Scope::App]).await?;
        Ok(Self { app: app.clone(), caller })
    }
}
