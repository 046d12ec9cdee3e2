//! Push: the jobs of a company with their next slots, and its broadcasts with their progress.

use af_app::access::auth::cursor_secret;
use af_app::push::{broadcasts, jobs};
use af_domain::ids::CompanyId;
use af_domain::push::{Broadcast, PushJob};
use af_domain::time::Timestamp;
use af_http::CursorKey;
use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::rows::begin;
use crate::error::PageError;
use crate::request::{Reader, View};
use crate::ui::{Nav, empty, pager, pill, when};

/// Jobs on a page.
const PAGE: u32 = 25;
/// The newest broadcasts, which are shown on every page.
const BROADCASTS: u32 = 10;

/// The company, and the position in its jobs.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct PushQuery {
    company: Option<String>,
    cursor: Option<String>,
}

/// `GET /console/push`
pub(crate) async fn show(reader: Reader, Query(query): Query<PushQuery>) -> Result<Response, PageError> {
    let app = &*reader.app;
    let given = query.company.as_deref().map(str::trim).filter(|company| !company.is_empty());
    let company = given.map_or_else(|| Ok(CompanyId::unnamed()), CompanyId::parse)?;
    let key = CursorKey::new(&cursor_secret(app).await?);
    let listing = format!("console push {company}");
    let before = query.cursor.as_deref().map(|cursor| key.open_in(&listing, cursor)).transpose()?;
    let jobs = jobs::list_of_company(app, &company, PAGE, before.as_deref()).await?;
    let broadcasts = broadcasts::list(app, &company, BROADCASTS, None).await?;
    let (now, next) = (reader.now(), jobs.next.map(|position| key.seal_in(&listing, &position)));
    let live = html! {
        section aria-labelledby="jobs" {
            h2 #jobs { "Push jobs" }
            @if jobs.items.is_empty() { (empty("This company has no push job.")) } @else { (job_table(&jobs.items, now)) }
            (pager("/console/push", &[("company", company.as_str())], next.as_deref()))
        }
        section aria-labelledby="broadcasts" {
            h2 #broadcasts { "Newest broadcasts" }
            @if broadcasts.items.is_empty() { (empty("This company has sent no broadcast.")) }
            @else { (broadcast_table(&broadcasts.items, now)) }
        }
    };
    let above = html! {
        form.filter action="/console/push" {
            label { "Company " input name="company" value=(company) maxlength="100" autocomplete="off"; }
            button { "Show" }
        }
    };
    let title = "Push".to_owned();
    Ok(reader.answer(&View { title, nav: Nav::Push, above, live, version: None }))
}

fn job_table(jobs: &[PushJob], now: Timestamp) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Push jobs" {
            table {
                thead { tr { th { "Title" } th { "State" } th { "User" } th { "Agent" } th { "Next slot" } th { "Zone" } th { "Last run" } } }
                tbody {
                    @for job in jobs {
                        tr data-row {
                            td.wide { (begin(&job.title)) }
                            td { (pill(if job.enabled { "enabled" } else { "paused" })) }
                            td { (job.user) }
                            td { (job.agent) }
                            td { @match &job.next { Some(slot) => (when(slot.at.as_millis(), now)), None => "none" } }
                            td { (job.zone) }
                            td { @match &job.last { Some(last) => (when(last.at.as_millis(), now)), None => "none" } }
                        }
                    }
                }
            }
        }
    }
}

fn broadcast_table(broadcasts: &[Broadcast], now: Timestamp) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Broadcasts" {
            table {
                thead { tr { th { "Title" } th { "State" } th { "Targets" } th { "Enqueued" } th { "Failed" } th { "Accepted" } } }
                tbody {
                    @for broadcast in broadcasts {
                        tr data-row {
                            td.wide { (begin(&broadcast.title)) }
                            td { (pill(broadcast.status.as_str())) }
                            td.number { (broadcast.counts.targets) }
                            td.number { (broadcast.counts.enqueued) }
                            td.number { (broadcast.counts.failed) }
                            td { (when(broadcast.created_at.as_millis(), now)) }
                        }
                    }
                }
            }
        }
    }
}
