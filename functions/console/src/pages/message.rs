//! One message: what it says, what it waits for, its attempts, its reply and the delivery of the reply.

use af_app::access::console_session::Session;
use af_app::conversations::read_models;
use af_app::outbox;
use af_app::queue::{self, Cancelled, Why};
use af_domain::ids::{MessageId, WorkerId};
use af_domain::message::MessageView;
use af_domain::outbox::{Delivery, DeliveryState, Part};
use af_domain::time::Timestamp;
use axum::extract::{Path, Query};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::ListQuery;
use crate::error::PageError;
use crate::request::{Change, Reader, View, back_to};
use crate::ui::{self, Nav, action, confirmed, fact, facts, length, path, pill, short, when};

/// The width of the waterfall in units of its drawing.
const WIDTH: u64 = 1_000;
/// The narrowest bar, so that a short attempt can be seen.
const NARROWEST: u64 = 6;
/// A message with fewer ended attempts shows them at once.
const OPEN_BELOW: usize = 4;

/// `GET /console/messages/{messageId}`
pub(crate) async fn show(
    reader: Reader,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Response, PageError> {
    let id = MessageId::parse(id)?;
    let view = read_models::message(&reader.app, &id).await?;
    let why = queue::why(&reader.app, &id).await?;
    let (message, now) = (&view.message, reader.now());
    let live = html! {
        (facts(&[
            fact("state", &pill(view.status)),
            fact("conversation", &html! { a href=(path(&["conversations", message.conversation.as_str()])) { (message.conversation) } }),
            fact("agent", &html! { a href=(path(&["agents", message.agent.as_str()])) { (message.agent) } }),
            fact("accepted", &when(message.enqueued_at.as_millis(), now)),
            fact("priority", &html! { (message.priority.get()) }),
        ]))
        (explained(&why, now))
        (said(&view))
        (attempts(&view, now))
        (buttons(&reader.session, &view))
    };
    let title = format!("Message {id}");
    let above = ui::note(query.done.as_deref());
    Ok(reader.answer(&View { title, nav: Nav::Other, above, live, version: None }))
}

/// The reason in one sentence, with the latest end of the wait.
pub(super) fn explained(why: &Why, now: Timestamp) -> Markup {
    html! {
        p.why {
            strong { "Why: " } (why.reason)
            @if let Some(until) = why.until { " (at the latest " (when(until.as_millis(), now)) ")" }
            "."
        }
    }
}

/// Both sides of the dialogue of one message.
pub(super) fn said(view: &MessageView) -> Markup {
    let (message, payload) = (&view.message, &view.message.payload);
    html! {
        div.bubble.user {
            @if payload.provider.is_empty() { p { a href=(path(&["messages", message.id.as_str()])) { "A long message" } } }
            @else { p.text { (payload.message_text) } }
            @if !payload.attachments.is_empty() {
                ul.files { @for file in &payload.attachments {
                    li { (file.kind.as_str()) " " (file.file_name.as_deref().unwrap_or("without a name")) " " (pill(file.status(view.at))) }
                } }
            }
        }
        @if let Some(reply) = &message.reply { div.bubble.agent { p.text { (reply.text) } } }
        @else if let Some(progress) = &view.progress { div.bubble.agent.draft { p.text { (progress) } } }
        @if let Some(error) = &message.last_error { p.error { "Latest error: " (error) } }
        @if let Some(delivery) = &message.delivery { (delivered(delivery)) }
    }
}

fn delivered(delivery: &Delivery) -> Markup {
    let arrived = delivery.parts.iter().filter(|part| matches!(part, Part::Sent { .. })).count();
    html! {
        p.delivery {
            "Delivery " (pill(delivery.state.as_str())) " " (arrived) " of " (delivery.parts.len())
            " parts have arrived in chat " code { (delivery.chat) }
            @if let Some(reason) = &delivery.reason { ": " (reason) }
        }
    }
}

/// One bar of the waterfall.
struct Bar {
    name: String,
    from: u64,
    to: u64,
    kind: &'static str,
    note: Markup,
}

/// The waits and the attempts of a message, in order. The last wait or attempt lasts until the moment of the view.
fn bars(view: &MessageView) -> Vec<Bar> {
    let message = &view.message;
    let mut bars = Vec::new();
    let mut since = message.enqueued_at.as_millis();
    let queued = |from: u64, to: u64| {
        (to > from).then(|| Bar { name: "queued".to_owned(), from, to, kind: "calm", note: html! {} })
    };
    for attempt in &message.attempt_log {
        let (from, to) = (attempt.claimed_at.as_millis(), attempt.ended_at.as_millis());
        bars.extend(queued(since, from));
        let end = attempt.end.as_str();
        let note = html! { (pill(end)) " on " (worker(&attempt.worker)) @if let Some(error) = &attempt.error { ": " (error) } };
        let kind = if end == "done" { "good" } else { "bad" };
        bars.push(Bar { name: format!("attempt {}", attempt.number), from, to, kind, note });
        since = to;
    }
    if let Some(running) = &view.running {
        let from = running.claimed_at.as_millis();
        bars.extend(queued(since, from));
        let note = html! { (pill("running")) " on " (worker(&running.worker)) };
        let name = format!("attempt {}", running.number);
        bars.push(Bar { name, from, to: view.at.as_millis(), kind: "busy", note });
    } else if message.finished_at.is_none() {
        bars.extend(queued(since, view.at.as_millis()));
    }
    bars
}

fn worker(id: &WorkerId) -> Markup {
    html! { a href={ "/console/workers?id=" (id) } { (short(id.as_str())) } }
}

/// The attempts as a waterfall: each bar begins where the one before ends.
pub(super) fn attempts(view: &MessageView, now: Timestamp) -> Markup {
    let bars = bars(view);
    let begin = bars.first().map_or(0, |bar| bar.from);
    let whole = bars.last().map_or(1, |bar| bar.to.saturating_sub(begin)).max(1);
    let place = |at: u64| at.saturating_sub(begin) * WIDTH / whole;
    html! {
        @if !bars.is_empty() {
            details.attempts id={ "attempts:" (view.message.id) } open[view.message.attempt_log.len() < OPEN_BELOW] {
                summary { "Attempts: " (view.attempts) ", " (length(whole)) " in all" }
                ol.waterfall {
                    @for bar in &bars {
                        li {
                            span.name { (bar.name) }
                            svg viewBox={ "0 0 " (WIDTH) " 12" } preserveAspectRatio="none" aria-hidden="true" {
                                rect class=(bar.kind) x=(place(bar.from)) y="2" height="8" width=(place(bar.to).saturating_sub(place(bar.from)).max(NARROWEST)) {}
                            }
                            span.length { (length(bar.to.saturating_sub(bar.from))) }
                            span.detail { (when(bar.from, now)) " " (bar.note) }
                        }
                    }
                }
            }
        }
    }
}

/// The buttons that the state of a message allows.
pub(super) fn buttons(session: &Session, view: &MessageView) -> Markup {
    let id = view.message.id.as_str();
    let to = |verb: &str| path(&["messages", id, verb]);
    let has_ended_delivery =
        view.message.delivery.as_ref().is_some_and(|delivery| delivery.state != DeliveryState::Waiting);
    html! {
        div.buttons {
            @if view.status == "dead_letter" { (action(session, &to("retry"), "Retry", &html! {})) }
            @if !matches!(view.status, "done" | "cancelled") && !view.cancelling {
                (confirmed(session, &to("cancel"), "Cancel", "The message ends cancelled and is not answered.", &html! {}))
            }
            @if view.message.reply.is_some() && has_ended_delivery {
                (confirmed(session, &to("resend"), "Resend",
                    "The whole reply is sent to Telegram again. The person may then have parts of it twice.", &html! {}))
            }
        }
    }
}

/// A form without fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Nothing {}

/// `POST /console/messages/{messageId}/retry`
pub(crate) async fn retry(Path(id): Path<String>, change: Change<Nothing>) -> Result<Response, PageError> {
    let id = MessageId::parse(id)?;
    queue::retry(&change.app, &id, None).await?;
    Ok(back_to(&path(&["messages", id.as_str()]), "retried"))
}

/// `POST /console/messages/{messageId}/cancel`
pub(crate) async fn cancel(Path(id): Path<String>, change: Change<Nothing>) -> Result<Response, PageError> {
    let id = MessageId::parse(id)?;
    let done = match queue::cancel(&change.app, &id).await? {
        Cancelled::WhenItsAttemptEnds => "cancelling",
        _ => "cancelled",
    };
    Ok(back_to(&path(&["messages", id.as_str()]), done))
}

/// `POST /console/messages/{messageId}/resend`
pub(crate) async fn resend(Path(id): Path<String>, change: Change<Nothing>) -> Result<Response, PageError> {
    let id = MessageId::parse(id)?;
    outbox::resend(&change.app, &id, None).await?;
    Ok(back_to(&path(&["messages", id.as_str()]), "resent"))
}
