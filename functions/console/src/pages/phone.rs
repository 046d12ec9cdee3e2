//! What only `dev` has: the link that signs in once, and the phone, on which a newcomer writes to the demo agent and moves the
//! clock.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use af_app::access::console_session;
use af_domain::refusal::Refusal;
use af_domain::time::Millis;
use af_http::PublicUrl;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::StatusCode;
use maud::{Markup, html};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::ListQuery;
use super::sign_in::enter;
use crate::error::PageError;
use crate::request::{Change, Reader, SIGN_IN, View, back_to};
use crate::ui::{self, Nav, csrf_field, empty, path, when};
use crate::{ChatLine, Console, DevTools, Speaker};

/// The page of the phone.
const PHONE: &str = "/console/phone";
/// Characters of a text, as Telegram limits them.
const MAX_TEXT_CHARS: usize = 4_096;
/// How far the clock can be moved at once.
const STEPS: [(&str, u64); 3] = [("+1 min", 60), ("+30 min", 1_800), ("+1 day", 86_400)];

/// The routes that `dev` adds to those of the function.
pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route("/", get(async || Redirect::to("/console")))
        .route("/console/enter", get(enter_once))
        .route(PHONE, get(show))
        .route("/console/phone/send", post(send))
        .route("/console/phone/clock", post(advance))
}

/// The token of the link.
#[derive(Deserialize)]
struct EnterQuery {
    #[serde(default)]
    token: String,
}

/// `GET /console/enter?token=`: signs in the first time, and leads to the phone.
async fn enter_once(
    State(console): State<Console>,
    url: PublicUrl,
    Query(query): Query<EnterQuery>,
) -> Result<Response, PageError> {
    let key = console.tools.as_ref().and_then(|tools| tools.redeem(&query.token));
    let Some(key) = key else {
        let body = html! {
            p.error role="alert" { "This link was used before, or it belongs to another start of agent-factory dev." }
            p { a href=(SIGN_IN) { "Sign in with the admin key" } ", which dev prints below the link." }
        };
        return Ok((StatusCode::FORBIDDEN, ui::bare_page("The link is used", &body)).into_response());
    };
    let session = console_session::open(&console.app, key.expose_secret()).await?;
    let has_phone = console.tools.as_ref().is_some_and(|tools| tools.bot_name().is_some());
    Ok(enter(&session, &url, if has_phone { PHONE } else { "/console" }))
}

fn tools(found: Option<Arc<dyn DevTools>>) -> Result<Arc<dyn DevTools>, PageError> {
    Ok(found.ok_or_else(|| Refusal::not_found("phone"))?)
}

/// `GET /console/phone`
async fn show(reader: Reader, Query(query): Query<ListQuery>) -> Result<Response, PageError> {
    let tools = tools(reader.tools.clone())?;
    let lines = tools.chat();
    let mut hash = DefaultHasher::new();
    (&lines, reader.now().as_secs() / 10).hash(&mut hash);
    let version = format!("{:016x}", hash.finish());
    if let Some(unchanged) = reader.unchanged(&version) {
        return Ok(unchanged);
    }
    let live = chat(&lines, &reader);
    let name = tools.bot_name();
    let above = html! {
        (ui::note(query.done.as_deref()))
        @match &name {
            Some(name) => (composer(&reader, name, tools.conversation().as_deref())),
            None => (empty("This dev has no demo agent in the emulator of Telegram.")),
        }
    };
    let title = "Phone".to_owned();
    Ok(reader.answer(&View { title, nav: Nav::Phone, above, live, version: Some(version) }))
}

fn composer(reader: &Reader, bot: &str, conversation: Option<&str>) -> Markup {
    html! {
        p.hint {
            "This page plays the Telegram app of the demo user, who writes to @" (bot) ". "
            @if let Some(id) = conversation { a href=(path(&["conversations", id])) { "The conversation as an operator sees it" } }
        }
        @if reader.session.may_change {
            form.composer method="post" action="/console/phone/send" {
                (csrf_field(&reader.session))
                label.hidden for="text" { "Message" }
                input #text name="text" placeholder="Message" required autocomplete="off" autofocus maxlength=(MAX_TEXT_CHARS);
                button { "Send" }
            }
            form.clock method="post" action="/console/phone/clock" {
                (csrf_field(&reader.session))
                span { "Clock " code { (ui::absolute(reader.now().as_millis())) } }
                @for (label, seconds) in STEPS { button.quiet name="seconds" value=(seconds) { (label) } }
            }
        }
    }
}

fn chat(lines: &[ChatLine], reader: &Reader) -> Markup {
    let now = reader.now();
    html! {
        @if lines.is_empty() { (empty("Write “hello”. The demo agent answers within a few seconds.")) }
        ol.chat.phone aria-label="Chat" {
            @for line in lines.iter().rev() {
                @let class = match line.speaker { Speaker::User => "user", Speaker::Bot => "agent", Speaker::Draft => "agent draft" };
                li {
                    div class={ "bubble " (class) } {
                        p.text { (line.text) }
                        p.at { @if line.speaker == Speaker::Draft { "is being written" } @else { (when(line.at, now)) } }
                    }
                }
            }
        }
    }
}

/// A text of the demo user.
#[derive(Deserialize)]
struct Text {
    text: String,
}

/// `POST /console/phone/send`
async fn send(change: Change<Text>) -> Result<Response, PageError> {
    let text = change.form.text.trim();
    if text.is_empty() || text.chars().count() > MAX_TEXT_CHARS {
        let detail = format!("a message must be 1 to {MAX_TEXT_CHARS} characters");
        return Err(Refusal::field("/text", detail).into());
    }
    tools(change.tools)?.send(text).await.map_err(|reason| Refusal::field("/text", reason))?;
    Ok(back_to(PHONE, "sent"))
}

/// How far the clock is moved.
#[derive(Deserialize)]
struct Advance {
    seconds: u64,
}

/// `POST /console/phone/clock`
async fn advance(change: Change<Advance>) -> Result<Response, PageError> {
    let seconds = change.form.seconds;
    if !STEPS.iter().any(|(_, step)| *step == seconds) {
        return Err(Refusal::field("/seconds", "the clock moves by one of the steps of the page").into());
    }
    let moved = tools(change.tools)?.advance(Millis::from_secs(seconds)).await;
    moved.map_err(|reason| Refusal::field("/seconds", reason))?;
    Ok(back_to(PHONE, "moved"))
}
