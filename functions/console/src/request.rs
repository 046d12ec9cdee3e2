//! The caller of a page. [`Reader`] is a request that reads, [`Change`] a form that changes something.

use std::sync::Arc;

use af_app::App;
use af_app::access::console_session::{Session, resume};
use af_domain::time::Timestamp;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use http::header::{COOKIE, ETAG, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use maud::Markup;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::PageError;
use crate::ui::{self, Frame, Nav};
use crate::{Console, DevTools};

/// The cookie with the session.
pub(crate) const SESSION_COOKIE: &str = "af_console";
/// Where a page leads that needs a session.
pub(crate) const SIGN_IN: &str = "/console/sign-in";

/// A signed-in request that reads.
pub(crate) struct Reader {
    /// The use cases.
    pub app: Arc<App>,
    /// What only `dev` has.
    pub tools: Option<Arc<dyn DevTools>>,
    /// The session.
    pub session: Session,
    /// Path and query, as the browser sent them.
    pub target: String,
    /// Whether only the live part of the page is wanted.
    is_fragment: bool,
    /// The version of the live part that the browser has.
    known: Option<String>,
}

/// A signed-in form of an operator who may change things, with its CSRF token checked.
pub(crate) struct Change<T> {
    /// The use cases.
    pub app: Arc<App>,
    /// What only `dev` has.
    pub tools: Option<Arc<dyn DevTools>>,
    /// The session.
    pub session: Session,
    /// The fields of the form.
    pub form: T,
}

/// A page with a part that changes.
pub(crate) struct View {
    /// The title.
    pub title: String,
    /// Its entry in the navigation.
    pub nav: Nav,
    /// What stands above the live part: a note of what was done, filters.
    pub above: Markup,
    /// The live part.
    pub live: Markup,
    /// The version of the live part; without one it is not read again.
    pub version: Option<String>,
}

/// The value of a cookie.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// The session of a request.
pub(crate) async fn session(app: &App, headers: &HeaderMap) -> Result<Option<Session>, PageError> {
    match cookie(headers, SESSION_COOKIE) {
        Some(cookie) => Ok(resume(app, cookie).await?),
        None => Ok(None),
    }
}

/// Leads to the form for signing in, and from there back to `target`.
fn sign_in_first(target: &str, is_fragment: bool) -> Response {
    if is_fragment {
        return ([("hx-redirect", SIGN_IN)], StatusCode::OK).into_response();
    }
    let next = utf8_percent_encode(target, NON_ALPHANUMERIC);
    Redirect::to(&format!("{SIGN_IN}?next={next}")).into_response()
}

impl FromRequestParts<Console> for Reader {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let target = parts.uri.path_and_query().map_or("/console", |target| target.as_str()).to_owned();
        let is_fragment = parts.headers.contains_key("hx-request");
        let found = session(&console.app, &parts.headers).await.map_err(IntoResponse::into_response)?;
        let session = found.ok_or_else(|| sign_in_first(&target, is_fragment))?;
        let known = parts.headers.get(IF_NONE_MATCH).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let Console { app, tools } = console.clone();
        Ok(Self { app, tools, session, target, is_fragment, known })
    }
}

/// The field that every form has.
#[derive(Deserialize)]
struct CsrfField {
    #[serde(default)]
    csrf: String,
}

impl<T: DeserializeOwned> FromRequest<Console> for Change<T> {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let found = session(&console.app, &parts.headers).await.map_err(IntoResponse::into_response)?;
        let session = found.ok_or_else(|| sign_in_first("/console", false))?;
        let body = Bytes::from_request(Request::from_parts(parts, body), console).await;
        let body = body.map_err(IntoResponse::into_response)?;
        let given: Option<CsrfField> = serde_urlencoded::from_bytes(&body).ok();
        if !given.is_some_and(|field| session.has_csrf(&field.csrf)) {
            let text =
                "This form does not belong to your session. Open its page again, and repeat the change.";
            return Err(PageError::forbidden(text).into_response());
        }
        if !session.may_change {
            let text =
                "Your key has the scope read. Sign in with a key that has the scope admin to change things.";
            return Err(PageError::forbidden(text).into_response());
        }
        let form = serde_urlencoded::from_bytes(&body);
        let form = form.map_err(|_| PageError::unreadable().into_response())?;
        let Console { app, tools } = console.clone();
        Ok(Self { app, tools, session, form })
    }
}

impl Reader {
    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.app.now()
    }

    /// The answer to a browser that has this version of the live part already.
    pub fn unchanged(&self, version: &str) -> Option<Response> {
        let is_known = self.is_fragment && self.known.as_deref() == Some(&tag(version));
        is_known.then(|| (StatusCode::NOT_MODIFIED, [(ETAG, tag(version))]).into_response())
    }

    fn frame<'a>(&'a self, view: &'a View) -> Frame<'a> {
        let has_phone = self.tools.as_ref().is_some_and(|tools| tools.bot_name().is_some());
        Frame { title: &view.title, nav: view.nav, session: &self.session, has_phone }
    }

    /// The page, or its live part alone.
    pub fn answer(&self, view: &View) -> Response {
        let tag = view.version.as_deref().map(tag);
        let live = ui::live(&self.target, tag.as_deref(), self.now(), &view.live);
        let mut response = match self.is_fragment {
            true => live.into_response(),
            false => ui::page(&self.frame(view), &view.above, &live).into_response(),
        };
        if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}

fn tag(version: &str) -> String {
    format!("\"{version}\"")
}

/// Leads back to a page, which shows `done` as a note.
pub(crate) fn back_to(path: &str, done: &str) -> Response {
    let separator = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{path}{separator}done={done}")).into_response()
}
