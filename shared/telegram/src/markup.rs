//! Messages of a text with markup.

use crate::client::ParseMode;
use crate::split::{MAX_MESSAGE_UNITS, split};

/// The markup of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// None.
    Plain,
    /// Telegram's HTML.
    Html,
    /// Markdown, as models write it.
    Markdown,
}

/// One message of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPart {
    /// The text to send with `parse_mode`.
    pub text: String,
    /// The parse mode; `None` for plain text.
    pub parse_mode: Option<ParseMode>,
    /// The readable text without markup, for when Telegram refuses the markup.
    pub plain: String,
}

/// Splits `text` into messages. Empty if nothing of it is visible.
pub fn text_parts(text: &str, markup: Markup) -> Vec<TextPart> {
    let parse_mode = (markup == Markup::Html).then_some(ParseMode::Html);
    let part = |part: &str| TextPart { text: part.to_owned(), parse_mode, plain: part.to_owned() };
    split(text, MAX_MESSAGE_UNITS).into_iter().map(part).collect()
}
