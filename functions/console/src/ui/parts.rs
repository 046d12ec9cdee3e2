//! Components: pills, tiles, facts, forms, pages of a list.

use std::fmt::Display;

use af_app::access::console_session::Session;
use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a path segment may hold unencoded (RFC 3986, "unreserved").
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Characters of an id that a narrow column shows.
const SHORT_CHARS: usize = 10;

/// A path below `/console`, with its segments percent-encoded.
pub(crate) fn path(segments: &[&str]) -> String {
    let encoded = segments.iter().map(|segment| utf8_percent_encode(segment, ENCODED).to_string());
    format!("/console/{}", encoded.collect::<Vec<_>>().join("/"))
}

/// The state of a thing. The text says it; the colour only helps.
pub(crate) fn pill(state: &str) -> Markup {
    let kind = match state {
        "done" | "sent" | "active" | "ready" | "enabled" | "enqueued" => "good",
        "dead_letter" | "failed" | "stopping" | "missing" => "bad",
        "processing" | "running" => "busy",
        "uncertain" | "requeued" | "draining" | "dropped" | "paused" | "skipped" => "warn",
        _ => "calm",
    };
    html! { span class={ "pill " (kind) } { (state.replace('_', " ")) } }
}

/// A count with its name, which leads to the list of what it counts.
pub(crate) fn tile(name: &str, value: impl Display, href: Option<&str>, is_alarm: bool) -> Markup {
    let content = html! { span.value { (value) } span.name { (name) } };
    let class = if is_alarm { "tile alarm" } else { "tile" };
    html! {
        @match href {
            Some(href) => a class=(class) href=(href) { (content) },
            None => div class=(class) { (content) },
        }
    }
}

/// Names with their values.
pub(crate) fn facts(list: &[Markup]) -> Markup {
    html! { dl.facts { @for fact in list { (fact) } } }
}

/// One name with its value.
pub(crate) fn fact(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// What a list shows that has nothing.
pub(crate) fn empty(text: &str) -> Markup {
    html! { p.empty { (text) } }
}

/// The end of an id, which differs between neighbours; the whole id is its title.
pub(crate) fn short(id: &str) -> Markup {
    let skipped = id.chars().count().saturating_sub(SHORT_CHARS);
    let end: String = id.chars().skip(skipped).collect();
    html! { code title=(id) { @if skipped > 0 { "…" } (end) } }
}

/// The CSRF token of a form.
pub(crate) fn csrf_field(session: &Session) -> Markup {
    html! { input type="hidden" name="csrf" value=(session.csrf); }
}

/// A form of one button. A key that only reads gets none.
pub(crate) fn action(session: &Session, to: &str, label: &str, fields: &Markup) -> Markup {
    html! {
        @if session.may_change {
            form.action method="post" action=(to) { (csrf_field(session)) (fields) button { (label) } }
        }
    }
}

/// A form behind a first click, which says what it will do.
pub(crate) fn confirmed(session: &Session, to: &str, label: &str, warning: &str, fields: &Markup) -> Markup {
    html! {
        @if session.may_change {
            details.confirm id={ "confirm:" (to) } {
                summary { (label) "…" }
                form method="post" action=(to) {
                    p { (warning) }
                    (csrf_field(session)) (fields)
                    button.danger { (label) }
                }
            }
        }
    }
}

/// A link to the next page of a list, which keeps the filters.
pub(crate) fn pager(page: &str, filters: &[(&str, &str)], next: Option<&str>) -> Markup {
    let link = |cursor: &str| {
        let given = filters.iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<(&str, &str)> = given.copied().chain([("cursor", cursor)]).collect();
        format!("{page}?{}", serde_urlencoded::to_string(pairs).unwrap_or_default())
    };
    html! {
        @if let Some(cursor) = next {
            nav.pager aria-label="Pages" { a rel="next" href=(link(cursor)) { "Next page" } }
        }
    }
}

/// The notes that a page may show after a form. A page shows only texts of this list.
const NOTES: [(&str, &str); 12] = [
    ("retried", "The message is queued again."),
    ("cancelled", "The message is cancelled."),
    ("cancelling", "The message is cancelled when its worker sends the next heartbeat."),
    ("resent", "The reply is in the outbox again."),
    ("freed", "The conversation has no worker any more; the worker drains."),
    ("drained", "The worker drains: it ends its message, saves its files and stops."),
    ("paused", "The agent is paused: it starts no run, and what waits stays in the queue."),
    ("enabled", "The agent is enabled."),
    ("policy", "The policy is set. All functions use it within ten seconds."),
    ("sent", "The message is on its way."),
    ("moved", "The clock has moved, and everything that became due has run."),
    ("signed-out", "You are signed out."),
];

/// The note of the form that led to a page.
pub(crate) fn note(done: Option<&str>) -> Markup {
    let text = done.and_then(|done| NOTES.iter().find(|(name, _)| *name == done));
    html! { @if let Some((_, text)) = text { p.note role="status" { (text) } } }
}
