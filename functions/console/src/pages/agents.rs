//! Agents: their profiles, bots and secrets, and the switch that pauses them.

use af_app::access::auth::cursor_secret;
use af_app::agents::profiles::{self, AgentSettings};
use af_domain::agent::AgentProfile;
use af_domain::ids::AgentKey;
use af_http::CursorKey;
use axum::extract::{Path, Query};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::ListQuery;
use crate::error::PageError;
use crate::request::{Change, Reader, View, back_to};
use crate::ui::{self, Nav, action, confirmed, empty, fact, facts, pager, path, pill, when};

/// Agents on a page.
const PAGE: u32 = 50;
/// The name of this listing, for its cursors.
const LISTING: &str = "console agents";

/// `GET /console/agents`
pub(crate) async fn list(reader: Reader, Query(query): Query<ListQuery>) -> Result<Response, PageError> {
    let key = CursorKey::new(&cursor_secret(&reader.app).await?);
    let after = query.cursor.as_deref().map(|cursor| key.open_in(LISTING, cursor)).transpose()?;
    let mut found = profiles::list(&reader.app, PAGE + 1, after.as_deref()).await?;
    let more = found.len() > PAGE as usize;
    found.truncate(PAGE as usize);
    let next = found.last().filter(|_| more).map(|last| key.seal_in(LISTING, last.key.as_str()));
    let now = reader.now();
    let live = html! {
        @if found.is_empty() { (empty("No agent is configured. Create one with: agent-factory agents set <agentKey> --version 1")) }
        @else {
            div.scroll tabindex="0" role="region" aria-label="Agents" {
                table {
                    thead { tr { th { "Agent" } th { "Name" } th { "State" } th { "Version" } th { "Bot" } th { "Changed" } } }
                    tbody {
                        @for agent in &found {
                            tr data-row {
                                td { a href=(path(&["agents", agent.key.as_str()])) { (agent.key) } }
                                td { (agent.display_name.as_deref().unwrap_or_default()) }
                                td { (pill(state(agent))) }
                                td { (agent.version) }
                                td { @if let Some(bot) = &agent.bot { "@" (bot.username) } }
                                td { (when(agent.updated_at.as_millis(), now)) }
                            }
                        }
                    }
                }
            }
        }
        (pager("/console/agents", &[], next.as_deref()))
    };
    let above = ui::note(query.done.as_deref());
    let title = "Agents".to_owned();
    Ok(reader.answer(&View { title, nav: Nav::Agents, above, live, version: None }))
}

fn state(agent: &AgentProfile) -> &'static str {
    if agent.enabled { "enabled" } else { "paused" }
}

/// `GET /console/agents/{agentKey}`
pub(crate) async fn show(
    reader: Reader,
    Path(key): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Response, PageError> {
    let agent = profiles::get(&reader.app, &AgentKey::parse(key)?).await?;
    let to = path(&["agents", agent.key.as_str()]);
    let live = html! {
        (facts(&[
            fact("state", &pill(state(&agent))),
            fact("name", &html! { (agent.display_name.as_deref().unwrap_or("none")) }),
            fact("version", &html! { (agent.version) }),
            fact("bot", &html! {
                @match &agent.bot { Some(bot) => { "@" (bot.username) " (" (bot.identity) ")" }, None => "none" }
            }),
            fact("changed", &when(agent.updated_at.as_millis(), reader.now())),
        ]))
        section aria-labelledby="secrets" {
            h2 #secrets { "Secrets" }
            @if agent.secrets_ref.is_empty() { (empty("The agent uses no secret.")) }
            @else { ul.plain { @for name in &agent.secrets_ref { li { code { (name) } } } } }
            p.hint { "Which of them exist: " code { "agent-factory secrets status <name>…" } }
        }
        (bridge(&agent))
        div.buttons {
            @if agent.enabled {
                (confirmed(&reader.session, &to, "Pause",
                    "The agent starts no run. Apps get an error, messages to its bot are dropped, and what waits stays in the queue.",
                    &html! { input type="hidden" name="enabled" value="false"; }))
            } @else {
                (action(&reader.session, &to, "Enable", &html! { input type="hidden" name="enabled" value="true"; }))
            }
        }
        p { a href={ "/console/queue?state=dead_letter&agent=" (agent.key) } { "Dead letters of this agent" } }
    };
    let above = ui::note(query.done.as_deref());
    let title = format!("Agent {}", agent.key);
    Ok(reader.answer(&View { title, nav: Nav::Agents, above, live, version: None }))
}

fn bridge(agent: &AgentProfile) -> Markup {
    html! {
        @if let Some(bridge) = &agent.bridge {
            section aria-labelledby="bridge" {
                h2 #bridge { "Agent-bridge" }
                (facts(&[
                    fact("state", &pill(if bridge.enabled { "enabled" } else { "paused" })),
                    fact("base URL", &html! { (bridge.base_url.as_deref().unwrap_or("from a secret")) }),
                    fact("app", &html! { (bridge.app_key.as_deref().unwrap_or("from a secret")) }),
                ]))
            }
        }
    }
}

/// Whether the agent starts runs.
#[derive(Debug, Deserialize)]
pub(crate) struct Switch {
    enabled: bool,
}

/// `POST /console/agents/{agentKey}`: enables or pauses the agent. Everything else of its profile stays.
pub(crate) async fn change(Path(key): Path<String>, change: Change<Switch>) -> Result<Response, PageError> {
    let Change { app, form, .. } = change;
    let agent = profiles::get(&app, &AgentKey::parse(key)?).await?;
    let settings = AgentSettings {
        display_name: agent.display_name,
        version: agent.version,
        enabled: form.enabled,
        secrets_ref: agent.secrets_ref,
        bridge: agent.bridge,
    };
    profiles::configure(&app, &agent.key, settings).await?;
    let done = if form.enabled { "enabled" } else { "paused" };
    Ok(back_to(&path(&["agents", agent.key.as_str()]), done))
}
