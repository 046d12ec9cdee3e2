//! Settings: the readiness of the provider, the policies with their defaults and ranges, and the API keys.

use std::collections::BTreeMap;

use af_api::keys::KeyBody;
use af_api::policies::{FieldView, PoliciesView};
use af_api::provider::Readiness;
use af_app::access::api_keys;
use af_app::access::auth::cursor_secret;
use af_app::pool::provider::readiness::readiness;
use af_app::settings::policies;
use af_domain::time::Timestamp;
use af_http::{CursorKey, PublicUrl};
use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::ListQuery;
use crate::error::PageError;
use crate::request::{Change, Reader, View, back_to};
use crate::ui::{self, Nav, csrf_field, empty, fact, facts, pager, pill, when};

/// Keys on a page.
const PAGE: u32 = 50;
/// The name of the list of keys, for its cursors.
const LISTING: &str = "console keys";

/// `GET /console/settings`
pub(crate) async fn show(
    reader: Reader,
    url: PublicUrl,
    Query(query): Query<ListQuery>,
) -> Result<Response, PageError> {
    let app = &*reader.app;
    let key = CursorKey::new(&cursor_secret(app).await?);
    let after = query.cursor.as_deref().map(|cursor| key.open_in(LISTING, cursor)).transpose()?;
    let mut keys = api_keys::list(app, PAGE + 1, after.as_deref()).await?;
    let more = keys.len() > PAGE as usize;
    keys.truncate(PAGE as usize);
    let next = keys.last().filter(|_| more).map(|last| key.seal_in(LISTING, &last.key_id));
    let (provider, fields) = (readiness(app, url.0.as_deref()).await?, policies::view(app).await?);
    let live = html! {
        (provider_section(&provider))
        (policy_section(&reader, &fields))
        section aria-labelledby="keys" {
            h2 #keys { "API keys" }
            p.hint { "The first admin key is not in this list. No page shows the secret of a key." }
            @if keys.is_empty() { (empty("No further key exists.")) } @else { (key_table(&keys, reader.now())) }
            (pager("/console/settings", &[], next.as_deref()))
        }
    };
    let above = ui::note(query.done.as_deref());
    let title = "Settings".to_owned();
    Ok(reader.answer(&View { title, nav: Nav::Settings, above, live, version: None }))
}

fn provider_section(provider: &Readiness) -> Markup {
    html! {
        section aria-labelledby="provider" {
            h2 #provider { "Provider" }
            (facts(&[
                fact("kind", &html! { (provider.kind.as_deref().unwrap_or("none")) }),
                fact("app", &html! { (provider.app_name.as_deref().unwrap_or("none")) }),
                fact("state", &pill(if provider.ready { "ready" } else { "missing" })),
                fact("machines", &html! { (provider.machines) }),
                fact("volumes", &html! { (provider.volumes) }),
            ]))
            ul.plain {
                @for missing in &provider.missing { li.error { (missing) } }
                @for warning in &provider.warnings { li.warning { (warning) } }
            }
        }
    }
}

fn policy_section(reader: &Reader, groups: &PoliciesView) -> Markup {
    html! {
        section aria-labelledby="policies" {
            h2 #policies { "Policies" }
            @for (group, fields) in groups {
                h3 { (group) }
                div.scroll tabindex="0" role="region" aria-label={ "Policies of " (group) } {
                    table {
                        thead { tr { th { "Policy" } th { "Value" } th { "Default" } th { "Accepts" } } }
                        tbody { @for (name, field) in fields { (policy_row(reader, group, name, field)) } }
                    }
                }
            }
        }
    }
}

fn policy_row(reader: &Reader, group: &str, name: &str, field: &FieldView) -> Markup {
    let label = format!("{group}.{name}");
    html! {
        tr data-row {
            td { code { (name) } }
            td {
                @if reader.session.may_change {
                    form.inline method="post" action="/console/settings/policies" {
                        (csrf_field(&reader.session))
                        input type="hidden" name="group" value=(group);
                        input type="hidden" name="field" value=(name);
                        input name="value" value=(shown(&field.value)) aria-label=(label) required maxlength="40";
                        button aria-label={ "Set " (label) } { "Set" }
                        @if field.value != field.default {
                            button.quiet name="reset" value="true" aria-label={ "Return " (label) " to its default" } { "Default" }
                        }
                    }
                } @else { (shown(&field.value)) }
            }
            td { (shown(&field.default)) }
            td.wide { (field.accepts) }
        }
    }
}

/// A value as a person types it: a text without quotes.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn key_table(keys: &[KeyBody], now: Timestamp) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="API keys" {
            table {
                thead { tr { th { "Name" } th { "Id" } th { "Scopes" } th { "Company" } th { "Made" } th { "Expires" } } }
                tbody {
                    @for key in keys {
                        tr data-row {
                            td.wide { (key.name) }
                            td { code { (key.key_id) } }
                            td { (key.scopes.join(", ")) }
                            td { (key.company_id.as_deref().unwrap_or("any")) }
                            td { (when(key.created_at, now)) }
                            td { @match key.expires_at { Some(at) => (when(at, now)), None => "never" } }
                        }
                    }
                }
            }
        }
    }
}

/// A policy and its new value.
#[derive(Debug, Deserialize)]
pub(crate) struct SetPolicy {
    group: String,
    field: String,
    value: String,
    reset: Option<String>,
}

/// `POST /console/settings/policies`
pub(crate) async fn set_policy(change: Change<SetPolicy>) -> Result<Response, PageError> {
    let Change { app, form, .. } = change;
    let text = form.value.trim();
    // A number, a boolean or a list is written as in JSON. Everything else is a text.
    let given = || serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    let value = if form.reset.is_some() { Value::Null } else { given() };
    policies::set(&app, BTreeMap::from([(form.group, BTreeMap::from([(form.field, value)]))])).await?;
    Ok(back_to("/console/settings", "policy"))
}
