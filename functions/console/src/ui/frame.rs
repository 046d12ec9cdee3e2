//! The frame of every page.

use af_app::access::console_session::Session;
use af_domain::time::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::parts::csrf_field;
use crate::assets;

/// htmx without what the content security policy forbids. An unchanged part is not swapped.
const HTMX: &str = r#"{"allowEval":false,"includeIndicatorStyles":false,"historyEnabled":false,"responseHandling":[{"code":"304","swap":false},{"code":"[23]..","swap":true},{"code":"[45]..","swap":false}]}"#;

/// An entry of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nav {
    Home,
    Queue,
    Workers,
    Agents,
    Push,
    Settings,
    Phone,
    /// A page without an entry.
    Other,
}

/// The entries that every deployment has.
const ENTRIES: [(Nav, &str, &str); 6] = [
    (Nav::Home, "/console", "Home"),
    (Nav::Queue, "/console/queue", "Queue"),
    (Nav::Workers, "/console/workers", "Workers"),
    (Nav::Agents, "/console/agents", "Agents"),
    (Nav::Push, "/console/push", "Push"),
    (Nav::Settings, "/console/settings", "Settings"),
];

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="htmx-config" content=(HTMX);
            title { (title) " · Agent Factory" }
            link rel="icon" href=(assets::url("icon.svg"));
            link rel="stylesheet" href=(assets::url("console.css"));
            script src=(assets::url("htmx.min.js")) defer {}
            script src=(assets::url("console.js")) defer {}
        }
    }
}

/// A page without navigation: the form for signing in, and errors.
pub(crate) fn bare_page(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body.bare { main #main { h1 { (title) } (body) } }
        }
    }
}

/// What the frame of a signed-in operator's page shows.
pub(crate) struct Frame<'a> {
    pub title: &'a str,
    pub nav: Nav,
    pub session: &'a Session,
    /// Whether this is `dev` with a demo.
    pub has_phone: bool,
}

/// A page of a signed-in operator.
pub(crate) fn page(frame: &Frame<'_>, above: &Markup, live: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(frame.title))
            body {
                a.skip href="#main" { "Skip to the content" }
                (header(frame))
                main #main tabindex="-1" {
                    h1 { (frame.title) }
                    (above)
                    (live)
                }
                (help())
            }
        }
    }
}

fn header(frame: &Frame<'_>) -> Markup {
    let phone = frame.has_phone.then_some((Nav::Phone, "/console/phone", "Phone"));
    let entries = ENTRIES.into_iter().chain(phone);
    html! {
        header.top {
            nav aria-label="Main" {
                @for (nav, href, name) in entries {
                    a href=(href) aria-current=[(nav == frame.nav).then_some("page")] { (name) }
                }
            }
            form.search role="search" action="/console/search" {
                label.hidden for="search" { "Search an id of a message, a conversation, a user or a worker" }
                input #search type="search" name="q" placeholder="Search an id ( / )" required maxlength="200";
            }
            form method="post" action="/console/sign-out" {
                (csrf_field(frame.session))
                button.quiet title={ "Signed in with the key " (frame.session.key_id) } { "Sign out" }
            }
        }
    }
}

fn help() -> Markup {
    let keys = [
        ("/", "search"),
        ("j", "next row"),
        ("k", "row before"),
        ("Enter", "open the row"),
        ("?", "this help"),
    ];
    html! {
        dialog #help aria-labelledby="help-title" {
            h2 #help-title { "Keys" }
            dl.facts { @for (key, what) in keys { div { dt { kbd { (key) } } dd { (what) } } } }
            form method="dialog" { button { "Close" } }
        }
    }
}

/// The part of a page that is read again while the page is visible, if it has a version.
pub(crate) fn live(target: &str, tag: Option<&str>, now: Timestamp, content: &Markup) -> Markup {
    html! {
        div #live data-now=(now.as_millis()) data-tag=[tag] hx-get=[tag.map(|_| target)]
            hx-trigger=[tag.map(|_| "every 2s")] hx-swap=[tag.map(|_| "outerHTML")] { (content) }
    }
}
