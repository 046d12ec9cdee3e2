//! Turns a text of any length and markup into messages that Telegram accepts.
//!
//! A front end (`html`, `markdown`) reads the text and calls the `writer`. The result is a `document`:
//! the visible text, and for each stretch of it the tags that apply. From a document, `parts` cuts messages
//! and writes them in Telegram's subset of HTML. No tree is built, so nesting of any depth costs no stack, and
//! crossed or unclosed tags need no special case.
//! Source: <https://core.telegram.org/bots/api#html-style>.

mod document;
mod entity;
mod html;
mod markdown;
mod meaning;
mod parts;
mod table;
mod tag;
mod writer;

#[cfg(test)]
mod tests;

use crate::split::{MAX_MESSAGE_UNITS, split};
use parts::is_visible;
use writer::Writer;

pub use parts::TextPart;

/// The markup of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// None: every character is shown as it is.
    Plain,
    /// HTML. Tags that Telegram does not know become line breaks, list marks, bold text or nothing.
    Html,
    /// CommonMark with the tables, task lists and `~~strikethrough~~` of GitHub, and with HTML in it.
    Markdown,
}

/// Splits `text` into messages: at paragraphs, then at lines, then between words. Tags that are open at the end
/// of a message are closed there and opened again in the next one. Returns no message if nothing is visible.
pub fn text_parts(text: &str, markup: Markup) -> Vec<TextPart> {
    let mut writer = Writer::default();
    match markup {
        Markup::Plain => {
            let visible = split(text, MAX_MESSAGE_UNITS).into_iter().filter(|part| is_visible(part));
            return visible.map(TextPart::without_markup).collect();
        }
        Markup::Html => html::Reader::default().read(&with_unix_lines(text), &mut writer),
        Markup::Markdown => markdown::read(&with_unix_lines(text), &mut writer),
    }
    parts::parts(&writer.finish())
}

/// Replaces the line breaks `\r\n` and `\r` by `\n`.
fn with_unix_lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}
