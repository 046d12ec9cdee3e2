//! Messages as rows of a table.

use af_domain::message::MessageView;
use af_domain::time::Timestamp;
use maud::{Markup, html};

use crate::ui::{path, pill, short, when};

/// Characters of a text in a row.
const TEXT_CHARS: usize = 120;

/// The begin of a text, on one line.
pub(super) fn begin(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut begin: String = line.chars().take(TEXT_CHARS).collect();
    if begin.len() < line.len() {
        begin.push('…');
    }
    begin
}

/// What a message says; of a long one only that it is long, because lists leave such payloads out.
pub(super) fn says(view: &MessageView) -> String {
    let payload = &view.message.payload;
    match (payload.provider.is_empty(), payload.attachments.len()) {
        (true, _) => "(a long message)".to_owned(),
        (false, 0) => begin(&payload.message_text),
        (false, files) => format!("{} [{files} files]", begin(&payload.message_text)),
    }
}

/// Messages with the error of their latest attempt.
pub(super) fn messages(views: &[MessageView], now: Timestamp) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Messages" {
            table {
                thead { tr { th { "Message" } th { "State" } th { "Conversation" } th { "Attempts" } th { "Accepted" } th { "Says" } th { "Latest error" } } }
                tbody {
                    @for view in views {
                        tr data-row {
                            td { a href=(path(&["messages", view.message.id.as_str()])) { (short(view.message.id.as_str())) } }
                            td { (pill(view.status)) }
                            td { a href=(path(&["conversations", view.message.conversation.as_str()])) { (view.message.conversation) } }
                            td.number { (view.attempts) }
                            td { (when(view.message.enqueued_at.as_millis(), now)) }
                            td.wide { (says(view)) }
                            td.wide { (view.message.last_error.as_deref().map(begin).unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}
