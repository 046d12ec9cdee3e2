//! The queue: messages by state, with the filters agent and conversation.

use af_app::App;
use af_app::access::auth::cursor_secret;
use af_app::queue::{self, Which, backlog};
use af_domain::ids::{AgentKey, ConversationId};
use af_domain::message::MessageView;
use af_http::CursorKey;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::rows;
use crate::error::PageError;
use crate::request::{Change, Reader, View};
use crate::ui::{self, Nav, confirmed, csrf_field, empty, pager};

/// Messages on a page.
const PAGE: u32 = 25;
/// The lists of the whole deployment, with their names.
const STATES: [(&str, &str); 3] =
    [("queued", "Waiting"), ("processing", "Running"), ("dead_letter", "Dead letters")];

/// The filters.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct QueueQuery {
    state: Option<String>,
    agent: Option<String>,
    text: Option<String>,
    cursor: Option<String>,
    done: Option<String>,
}

/// A page of messages.
struct Found {
    views: Vec<MessageView>,
    next: Option<String>,
}

/// `GET /console/queue`
pub(crate) async fn show(reader: Reader, Query(query): Query<QueueQuery>) -> Result<Response, PageError> {
    let version = queue::version(&reader.app).await?;
    if let Some(unchanged) = reader.unchanged(&version) {
        return Ok(unchanged);
    }
    let state = STATES.iter().map(|(state, _)| *state).find(|known| query.state.as_deref() == Some(*known));
    let state = state.unwrap_or("queued");
    let agent = query.agent.as_deref().map(str::trim).unwrap_or_default();
    let text = query.text.as_deref().map(str::trim).unwrap_or_default();
    let found = find(&reader.app, state, query.cursor.as_deref()).await?;
    let shown: Vec<MessageView> =
        found.views.into_iter().filter(|view| is_wanted(view, agent, text)).collect();
    let filters = [("state", state), ("agent", agent), ("text", text)];
    let live = html! {
        @if shown.is_empty() {
            (empty(if found.next.is_some() { "No message of this page passes the filters." } else { "No message is here." }))
        } @else { (rows::messages(&shown, reader.now())) }
        (pager("/console/queue", &filters, found.next.as_deref()))
        @if state == "dead_letter" { (bulk(&reader, agent, &shown)) }
    };
    let above = html! { (ui::note(query.done.as_deref())) (tabs(state)) (filter(state, agent, text)) };
    let view = View { title: "Queue".to_owned(), nav: Nav::Queue, above, live, version: Some(version) };
    Ok(reader.answer(&view))
}

fn is_wanted(view: &MessageView, agent: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    let has_text = |place: &str| place.to_lowercase().contains(&text);
    let message = &view.message;
    let is_of_agent = agent.is_empty() || message.agent.as_str() == agent;
    is_of_agent
        && (has_text(message.conversation.as_str()) || message.last_error.as_deref().is_some_and(has_text))
}

async fn find(app: &App, state: &str, cursor: Option<&str>) -> Result<Found, PageError> {
    let key = CursorKey::new(&cursor_secret(app).await?);
    let listing = format!("console queue {state}");
    let after = cursor.map(|cursor| key.open_in(&listing, cursor)).transpose()?;
    let after = after.as_deref();
    let (views, next) = match state {
        "processing" => backlog::running(app, PAGE, after).await?,
        "dead_letter" => queue::dead_letters(app, PAGE, after).await?,
        _ => backlog::waiting(app, PAGE, after).await?,
    };
    Ok(Found { views, next: next.map(|position| key.seal_in(&listing, &position)) })
}

fn tabs(current: &str) -> Markup {
    html! {
        nav.tabs aria-label="State" {
            @for (state, name) in STATES {
                a href={ "/console/queue?state=" (state) } aria-current=[(state == current).then_some("page")] { (name) }
            }
        }
    }
}

fn filter(state: &str, agent: &str, text: &str) -> Markup {
    html! {
        form.filter action="/console/queue" {
            input type="hidden" name="state" value=(state);
            label { "Agent " input name="agent" value=(agent) maxlength="100" autocomplete="off"; }
            label { "User or text of the error " input name="text" value=(text) maxlength="200" autocomplete="off"; }
            button { "Filter" }
            span.hint { "Filters apply to each page of the list." }
        }
    }
}

/// The retry of all dead letters of one agent.
fn bulk(reader: &Reader, agent: &str, shown: &[MessageView]) -> Markup {
    html! {
        @if !agent.is_empty() && !shown.is_empty() {
            @let warning = format!(
                "This queues all dead letters of the agent {agent} again: the {} on this page, and those on other pages.",
                shown.len()
            );
            (confirmed(&reader.session, "/console/queue/retry", "Retry all of this agent", &warning,
                &html! { input type="hidden" name="agent" value=(agent); }))
        } @else if !shown.is_empty() && reader.session.may_change {
            p.hint { "Filter by an agent to retry all of its dead letters. A conversation's page retries those of the conversation." }
        }
    }
}

/// The dead letters to retry, and where an earlier call has stopped.
#[derive(Debug, Deserialize)]
pub(crate) struct RetryAll {
    agent: Option<String>,
    conversation: Option<String>,
    cursor: Option<String>,
}

/// `POST /console/queue/retry`
pub(crate) async fn retry_all(change: Change<RetryAll>) -> Result<Response, PageError> {
    let Change { app, form, session, .. } = change;
    let (which, field, value) = match (form.agent, form.conversation) {
        (Some(agent), None) => (Which::Agent(AgentKey::parse(agent.as_str())?), "agent", agent),
        (None, Some(id)) => (Which::Conversation(ConversationId::parse(id.as_str())?), "conversation", id),
        (Some(_), Some(_)) | (None, None) => return Err(PageError::unreadable()),
    };
    let key = CursorKey::new(&cursor_secret(&app).await?);
    let listing = format!("console retry {field} {value}");
    let after = form.cursor.as_deref().map(|cursor| key.open_in(&listing, cursor)).transpose()?;
    let answer = queue::retry_all(&app, &which, after.as_deref(), None).await?;
    let body = html! {
        p.note role="status" { (answer.retried) " messages are queued again." }
        @if !answer.full.is_empty() { p { (answer.full.len()) " stay dead letters, because the queue of their conversation is full." } }
        @if !answer.refused.is_empty() { p { (answer.refused.len()) " stay dead letters, because their agent is disabled or deleted." } }
        @if let Some(next) = answer.next_cursor {
            form method="post" action="/console/queue/retry" {
                (csrf_field(&session))
                input type="hidden" name=(field) value=(value);
                input type="hidden" name="cursor" value=(key.seal_in(&listing, &next));
                button { "Continue with the next ones" }
            }
        }
        p { a href="/console/queue?state=dead_letter" { "Back to the dead letters" } }
    };
    Ok(ui::bare_page("Retry", &body).into_response())
}
