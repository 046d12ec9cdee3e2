//! The workers of the pool, and the report of the last reconcile.

use af_api::reconcile::Report;
use af_api::workers::WorkerBody;
use af_app::access::auth::cursor_secret;
use af_app::pool::reconcile::last_report;
use af_app::pool::workers;
use af_app::queue;
use af_domain::ids::WorkerId;
use af_domain::time::Timestamp;
use af_http::CursorKey;
use axum::extract::{Path, Query};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::message::Nothing;
use crate::error::PageError;
use crate::request::{Change, Reader, View, back_to};
use crate::ui::{self, Nav, confirmed, empty, pager, path, pill, short, when};

/// Workers on a page.
const PAGE: u32 = 50;
/// The name of this listing, for its cursors.
const LISTING: &str = "console workers";

/// Which workers: a page of all of them, or one.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct WorkersQuery {
    id: Option<String>,
    cursor: Option<String>,
    done: Option<String>,
}

/// `GET /console/workers`
pub(crate) async fn show(reader: Reader, Query(query): Query<WorkersQuery>) -> Result<Response, PageError> {
    let app = &*reader.app;
    let version = queue::version(app).await?;
    if let Some(unchanged) = reader.unchanged(&version) {
        return Ok(unchanged);
    }
    let key = CursorKey::new(&cursor_secret(app).await?);
    let after = query.cursor.as_deref().map(|cursor| key.open_in(LISTING, cursor)).transpose()?;
    let (found, next) = match &query.id {
        Some(id) => (vec![workers::get(app, &WorkerId::parse(id.as_str())?).await?], None),
        None => workers::list(app, PAGE, after.as_deref()).await?,
    };
    let next = next.map(|position| key.seal_in(LISTING, &position));
    let now = reader.now();
    let live = html! {
        @if found.is_empty() { (empty("No worker is alive. Reconcile starts one when a message waits.")) }
        @else { (table(&reader, &found, now)) }
        (pager("/console/workers", &[], next.as_deref()))
        @if query.id.is_some() { p { a href="/console/workers" { "All workers" } } }
        @else if let Some(report) = last_report(app).await? { (last_reconcile(&report, now)) }
    };
    let above = ui::note(query.done.as_deref());
    let title = "Workers".to_owned();
    Ok(reader.answer(&View { title, nav: Nav::Workers, above, live, version: Some(version) }))
}

fn table(reader: &Reader, workers: &[WorkerBody], now: Timestamp) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Workers" {
            table {
                thead { tr { th { "Worker" } th { "State" } th { "Started" } th { "Conversation" } th { "Heartbeat" } th { "Image or provider" } th { "Leaves" } th { "Action" } } }
                tbody {
                    @for worker in workers {
                        tr data-row {
                            td { a href={ "/console/workers?id=" (worker.worker_id) } { (short(&worker.worker_id)) } }
                            td { (pill(&worker.status)) @if worker.load > 0 { " " (pill("running")) } }
                            td { (when(worker.registered_at, now)) }
                            td { @if let Some(at) = &worker.assignment {
                                a href=(path(&["conversations", &at.conversation_id])) { (at.conversation_id) }
                            } }
                            td { @if let Some(at) = worker.heartbeat_at { (when(at, now)) } @else { "none yet" } }
                            td { (worker.image.as_deref().unwrap_or(&worker.provider)) }
                            td.wide { (leaves(worker, now)) }
                            td { @if worker.status == "active" {
                                (confirmed(&reader.session, &path(&["workers", &worker.worker_id, "drain"]), "Drain",
                                    "The worker ends its message, saves its files and stops.", &html! {}))
                            } }
                        }
                    }
                }
            }
        }
    }
}

/// When and why a worker leaves.
fn leaves(worker: &WorkerBody, now: Timestamp) -> Markup {
    html! {
        @if let Some(reason) = &worker.drain_reason { (reason.replace('_', " ")) " " }
        @if let Some(by) = worker.drain_by { "at the latest " (when(by, now)) }
        @else if let Some(at) = worker.stopped_at { "stopped " (when(at, now)) }
        @else if let Some(at) = worker.scheduled_shutdown_at { "idle: drains " (when(at, now)) " without a message" }
        @if worker.snapshot_missed { " " strong { "without its final snapshot" } }
    }
}

fn last_reconcile(report: &Report, now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="reconcile" {
            h2 #reconcile { "Last reconcile, " (when(report.at, now)) }
            @if report.actions.is_empty() && report.waits.is_empty() && report.errors.is_empty() {
                (empty("It found nothing to do."))
            }
            ul.plain {
                @for error in &report.errors { li.error { (error) } }
                @for warning in &report.warnings { li.warning { (warning) } }
                @for action in &report.actions {
                    li { strong { (action.action.replace('_', " ")) } " " (action.subject) ", because " (action.reason) ": " (action.outcome) }
                }
                @for wait in &report.waits {
                    li { (wait.subject) " waits for " (wait.waits_for) @if let Some(until) = wait.until { ", at the latest " (when(until, now)) } }
                }
            }
        }
    }
}

/// `POST /console/workers/{workerId}/drain`
pub(crate) async fn drain(Path(id): Path<String>, change: Change<Nothing>) -> Result<Response, PageError> {
    workers::drain(&change.app, &WorkerId::parse(id)?).await?;
    Ok(back_to("/console/workers", "drained"))
}
