//! A conversation: the dialogue with both sides, the attempts and deliveries of its messages, and what it waits for.

use af_app::access::auth::cursor_secret;
use af_app::conversations::{free as use_case, get};
use af_app::queue::overview::{overview, version};
use af_app::settings::policies;
use af_domain::conversation::Conversation;
use af_domain::ids::{ConversationId, Fence};
use af_domain::policy::Policies;
use af_domain::time::Timestamp;
use af_http::CursorKey;
use axum::extract::{Path, Query};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::ListQuery;
use super::message::{attempts, buttons, explained, said};
use crate::error::PageError;
use crate::request::{Change, Reader, View, back_to};
use crate::ui::{self, Nav, confirmed, empty, fact, facts, pager, path, pill, short, when};

/// Messages on a page.
const PAGE: u32 = 20;

/// `GET /console/conversations/{conversationId}`
pub(crate) async fn show(
    reader: Reader,
    Path(id): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Response, PageError> {
    let app = &*reader.app;
    let id = ConversationId::parse(id)?;
    let conversation = get(app, &id).await?;
    let version = version(app, &conversation);
    if let Some(unchanged) = reader.unchanged(&version) {
        return Ok(unchanged);
    }
    let key = CursorKey::new(&cursor_secret(app).await?);
    let listing = format!("console conversation {id}");
    let after = query.cursor.as_deref().map(|cursor| key.open_in(&listing, cursor)).transpose()?;
    let found = overview(app, &conversation, PAGE, after.as_deref()).await?;
    let (now, policies) = (reader.now(), policies::for_agent(app, &conversation.agent).await?);
    let next = found.next.map(|position| key.seal_in(&listing, &position));
    let has_dead_letter = found.messages.iter().any(|view| view.status == "dead_letter");
    let live = html! {
        (state(&conversation, &policies, now))
        @if let Some(why) = &found.why { (explained(why, now)) }
        (repairs(&reader, &conversation, has_dead_letter))
        @if found.messages.is_empty() { (empty("No message is here.")) }
        (pager(&path(&["conversations", id.as_str()]), &[], next.as_deref()))
        ol.chat {
            @for view in found.messages.iter().rev() {
                li data-row {
                    p.head {
                        a href=(path(&["messages", view.message.id.as_str()])) { (short(view.message.id.as_str())) } " "
                        (pill(view.status)) " " (when(view.message.enqueued_at.as_millis(), now))
                    }
                    (said(view))
                    (attempts(view, now))
                    (buttons(&reader.session, view))
                }
            }
        }
    };
    let title = format!("Conversation {id}");
    let above = ui::note(query.done.as_deref());
    Ok(reader.answer(&View { title, nav: Nav::Other, above, live, version: Some(version) }))
}

fn state(conversation: &Conversation, policies: &Policies, now: Timestamp) -> Markup {
    let waiting = conversation.in_order(now, policies).len();
    let owner = conversation.owner.as_ref();
    facts(&[
        fact(
            "agent",
            &html! { a href=(path(&["agents", conversation.agent.as_str()])) { (conversation.agent) } },
        ),
        fact("waiting", &html! { (waiting) }),
        fact(
            "worker",
            &html! {
                @match owner {
                    Some(owner) => a href={ "/console/workers?id=" (owner.worker) } { (short(owner.worker.as_str())) },
                    None => "none",
                }
            },
        ),
        fact(
            "lease",
            &html! {
                @match &conversation.lease {
                    Some(lease) => { "expires " (when(lease.expires_at.as_millis(), now)) },
                    None => "none",
                }
            },
        ),
        fact("claims", &html! { (conversation.fence.0) }),
        fact("last change", &when(conversation.active_at.as_millis(), now)),
    ])
}

/// What an operator can do with the whole conversation.
fn repairs(reader: &Reader, conversation: &Conversation, has_dead_letter: bool) -> Markup {
    let id = conversation.id.as_str();
    let freed = html! {
        input type="hidden" name="fence" value=(conversation.fence.0);
        label { "Reason " input name="reason" required maxlength="150"; }
    };
    html! {
        div.buttons {
            @if conversation.owner.is_some() || conversation.lease.is_some() {
                (confirmed(&reader.session, &path(&["conversations", id, "free"]), "Free",
                    "A running message counts as a failed attempt, and the worker drains.", &freed))
            }
            @if has_dead_letter {
                (confirmed(&reader.session, "/console/queue/retry", "Retry all dead letters",
                    "This queues all dead letters of this conversation again.",
                    &html! { input type="hidden" name="conversation" value=(id); }))
            }
        }
    }
}

/// Why a conversation is freed, and of which claim.
#[derive(Debug, Deserialize)]
pub(crate) struct Free {
    reason: String,
    fence: u64,
}

/// `POST /console/conversations/{conversationId}/free`
pub(crate) async fn free(Path(id): Path<String>, change: Change<Free>) -> Result<Response, PageError> {
    let id = ConversationId::parse(id)?;
    use_case(&change.app, &id, &change.form.reason, Some(Fence(change.form.fence))).await?;
    Ok(back_to(&path(&["conversations", id.as_str()]), "freed"))
}
