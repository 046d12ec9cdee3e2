//! Signing in with an API key, and signing out.

use af_api::secret_text::SecretText;
use af_app::access::console_session::{self, GOOD_FOR};
use af_http::PublicUrl;
use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use maud::{Markup, html};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::Console;
use crate::error::PageError;
use crate::request::{SESSION_COOKIE, SIGN_IN, cookie, session};
use crate::ui;

/// The cookie whose value the form repeats, so that no other site can sign an operator in.
const FORM_COOKIE: &str = "af_console_form";
/// Where an operator goes after signing in without another page in mind.
const START: &str = "/console";

/// The page that an operator wanted to see.
#[derive(Deserialize)]
pub(crate) struct SignInQuery {
    next: Option<String>,
    done: Option<String>,
}

/// The form.
#[derive(Deserialize)]
pub(crate) struct SignIn {
    key: SecretText,
    #[serde(default)]
    form: String,
    #[serde(default)]
    next: String,
}

/// `GET /console/sign-in`
pub(crate) async fn show(
    State(console): State<Console>,
    url: PublicUrl,
    Query(query): Query<SignInQuery>,
) -> Response {
    let next = query.next.unwrap_or_default();
    let above = ui::note(query.done.as_deref());
    form(&console, &url, StatusCode::OK, &next, &above)
}

/// `POST /console/sign-in`
pub(crate) async fn sign_in(
    State(console): State<Console>,
    url: PublicUrl,
    headers: HeaderMap,
    Form(given): Form<SignIn>,
) -> Response {
    let refuse = |status: StatusCode, text: &str| {
        form(&console, &url, status, &given.next, &html! { p.error role="alert" { (text) } })
    };
    let expected = cookie(&headers, FORM_COOKIE).filter(|value| !value.is_empty());
    if expected != Some(given.form.as_str()) {
        return refuse(
            StatusCode::FORBIDDEN,
            "This form was opened by another page. Sign in here once more.",
        );
    }
    match console_session::open(&console.app, given.key.0.expose_secret().trim()).await {
        Ok(session) => enter(&session, &url, target(&given.next)),
        Err(error) => {
            let error = PageError::from(error);
            refuse(error.status(), error.text())
        }
    }
}

/// The form of the button for signing out.
#[derive(Deserialize)]
pub(crate) struct SignOut {
    #[serde(default)]
    csrf: String,
}

/// `POST /console/sign-out`. A key that only reads may do this, too, and a session may have ended before.
pub(crate) async fn sign_out(
    State(console): State<Console>,
    url: PublicUrl,
    headers: HeaderMap,
    Form(given): Form<SignOut>,
) -> Result<Response, PageError> {
    let session = session(&console.app, &headers).await?;
    if session.is_some_and(|session| !session.has_csrf(&given.csrf)) {
        return Err(PageError::forbidden("This form does not belong to your session."));
    }
    let ended = set_cookie(SESSION_COOKIE, "", 0, &url);
    Ok(([(SET_COOKIE, ended)], Redirect::to(&format!("{SIGN_IN}?done=signed-out"))).into_response())
}

/// Sets the cookie of a session and leads to `target`.
pub(crate) fn enter(session: &SecretString, url: &PublicUrl, target: &str) -> Response {
    let seconds = GOOD_FOR.as_millis() / 1_000;
    let cookie = set_cookie(SESSION_COOKIE, session.expose_secret(), seconds, url);
    ([(SET_COOKIE, cookie)], Redirect::to(target)).into_response()
}

/// The page to lead to: only one of the console, so that a link cannot lead elsewhere after signing in.
fn target(next: &str) -> &str {
    let is_ours = next == START || next.starts_with("/console/") || next.starts_with("/console?");
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_ours && is_plain { next } else { START }
}

fn set_cookie(name: &str, value: &str, seconds: u64, url: &PublicUrl) -> HeaderValue {
    let secure = if url.is_loopback_without_tls() { "" } else { "; Secure" };
    let text = format!("{name}={value}; Path=/console; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::from_str(&text).expect("a signed text has only visible ASCII characters")
}

fn form(console: &Console, url: &PublicUrl, status: StatusCode, next: &str, above: &Markup) -> Response {
    let random: [u8; 18] = console.app.entropy.bytes();
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let body = html! {
        (above)
        form.sign-in method="post" action=(SIGN_IN) {
            label for="key" { "API key" }
            input #key type="password" name="key" autocomplete="current-password" required autofocus
                placeholder="afk_…" maxlength="400";
            input type="hidden" name="form" value=(token);
            input type="hidden" name="next" value=(next);
            button { "Sign in" }
        }
        p.hint { "A key with the scope " code { "admin" } " opens everything. A key with the scope " code { "read" }
            " opens the pages and no change. " code { "agent-factory dev" } " prints a key and a link at its start." }
    };
    let cookie = set_cookie(FORM_COOKIE, &token, 3_600, url);
    (status, [(SET_COOKIE, cookie)], ui::bare_page("Sign in", &body)).into_response()
}
