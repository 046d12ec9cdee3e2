//! The first page: what the deployment does, and what needs a human.

use af_api::queue::QueueStats;
use af_api::reconcile::Report;
use af_app::pool::reconcile::last_report;
use af_app::pool::workers;
use af_app::queue;
use af_app::settings::policies;
use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};

use super::{ListQuery, rows};
use crate::error::PageError;
use crate::request::{Reader, View};
use crate::ui::{self, Nav, empty, fact, facts, length, path, short, tile, when};

/// Conversations that need a human on this page.
const MOST_SHOWN: u32 = 8;
/// Lines of a report on this page.
const LINES: usize = 8;
/// A wait that long is an alarm: the time of the alarm `LongWait`.
const LONG_WAIT_MS: u64 = 300_000;

/// `GET /console`
pub(crate) async fn show(reader: Reader, Query(query): Query<ListQuery>) -> Result<Response, PageError> {
    let app = &*reader.app;
    let version = queue::version(app).await?;
    if let Some(unchanged) = reader.unchanged(&version) {
        return Ok(unchanged);
    }
    let (stats, report) = (queue::stats(app).await?, last_report(app).await?);
    let workers = workers::live_count(app).await?;
    let max_workers = policies::in_force(app).await?.scaling.max_workers;
    let live = html! {
        (tiles(&stats, workers, max_workers))
        section aria-labelledby="attention" {
            h2 #attention { "Needs a human" }
            @if stats.dead_letter > 0 {
                div hx-get={ "/console/attention?of=" (stats.dead_letter) } hx-trigger="load" {
                    p { a href="/console/queue?state=dead_letter" { (stats.dead_letter) " dead letters" } " wait for a decision." }
                }
            } @else { (empty("No dead letter. No conversation needs a human.")) }
        }
        @if let Some(report) = &report { (pool(report, &reader)) }
        @else { section { h2 { "Pool" } (empty("Reconcile has not run yet.")) } }
        (first_steps(&reader, &stats))
    };
    let above = html! {
        (ui::note(query.done.as_deref()))
        p.hint { "Deployment " strong { (app.deployment_id) } ", version " (env!("CARGO_PKG_VERSION")) }
    };
    let view = View { title: "Home".to_owned(), nav: Nav::Home, above, live, version: Some(version) };
    Ok(reader.answer(&view))
}

/// `GET /console/attention`: the newest dead letters, each with the reason in one sentence.
pub(crate) async fn attention(reader: Reader) -> Result<Markup, PageError> {
    let (dead, _) = queue::dead_letters(&reader.app, MOST_SHOWN, None).await?;
    let now = reader.now();
    Ok(html! {
        ul.cards {
            @for view in &dead {
                @let message = &view.message;
                li data-row {
                    a href=(path(&["conversations", message.conversation.as_str()])) { (message.conversation) }
                    " gave up on " a href=(path(&["messages", message.id.as_str()])) { (short(message.id.as_str())) }
                    " after " (view.attempts) @if view.attempts == 1 { " attempt" } @else { " attempts" }
                    @if let Some(at) = message.finished_at { ", " (when(at.as_millis(), now)) }
                    ": " span.reason { (rows::begin(message.last_error.as_deref().unwrap_or("no error was reported"))) }
                }
            }
        }
        p { a href="/console/queue?state=dead_letter" { "All dead letters" } }
    })
}

fn tiles(stats: &QueueStats, workers: usize, max_workers: u64) -> Markup {
    // The age is as of the last reconcile. Meanwhile, the message may have ended.
    let is_waiting = stats.queued_ready + stats.queued_scheduled > 0;
    let oldest = stats.oldest_waiting_age_ms.filter(|_| is_waiting);
    html! {
        div.tiles {
            (tile("waiting", stats.queued_ready, Some("/console/queue?state=queued"), false))
            (tile("running", stats.processing, Some("/console/queue?state=processing"), false))
            (tile("scheduled or retrying", stats.queued_scheduled, Some("/console/queue?state=queued"), false))
            (tile("dead letters", stats.dead_letter, Some("/console/queue?state=dead_letter"), stats.dead_letter > 0))
            (tile("oldest wait", oldest.map_or("none".to_owned(), length), None, oldest.is_some_and(|ms| ms > LONG_WAIT_MS)))
            (tile("workers", format!("{workers} / {max_workers}"), Some("/console/workers"), false))
        }
    }
}

fn pool(report: &Report, reader: &Reader) -> Markup {
    let now = reader.now();
    let waits = report.waits.iter().filter(|wait| wait.subject == "spawning");
    html! {
        section aria-labelledby="pool" {
            h2 #pool { "Pool" }
            (facts(&[
                fact("last reconcile", &when(report.at, now)),
                fact("conversations without a worker", &html! { (report.unserved) }),
            ]))
            ul.plain {
                @for error in report.errors.iter().take(LINES) { li.error { (error) } }
                @for warning in report.warnings.iter().take(LINES) { li.warning { (warning) } }
                @for wait in waits {
                    li { "No worker is started while reconcile waits for " (wait.waits_for)
                        @if let Some(until) = wait.until { ", at the latest " (when(until, now)) } "." }
                }
            }
        }
    }
}

/// What a newcomer can do next. It disappears with the first messages.
fn first_steps(reader: &Reader, stats: &QueueStats) -> Markup {
    let has_phone = reader.tools.as_ref().is_some_and(|tools| tools.bot_name().is_some());
    html! {
        @if stats.as_of.is_none() {
            section aria-labelledby="begin" {
                h2 #begin { "Begin here" }
                ol {
                    @if has_phone { li { a href="/console/phone" { "Say hello" } " to the demo agent on the phone." } }
                    @else { li { "Say hello: " code { "agent-factory chat <agentKey> \"hello\"" } } }
                    li { "Use your model: see " code { "docs/development.md" } "." }
                    li { "Connect your bot: " code { "agent-factory bots add <agentKey> --file <file with its token>" } "." }
                }
            }
        }
    }
}
