//! Tests of the whole way from a text to its messages.

mod checker;
mod html;
mod limits;
mod markdown;
mod properties;

use super::{Markup, TextPart, text_parts};
use crate::client::ParseMode;
use checker::check;

/// A text, and the messages that it becomes.
type Case<'a> = (&'a str, &'a [&'a str]);

/// Compares the messages of each text, which the checker must accept.
fn assert_cases(markup: Markup, cases: &[Case<'_>]) {
    let mut wrong = String::new();
    for (text, expected) in cases {
        let parts = checked_parts(text, markup);
        let found: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        if found != *expected {
            wrong.push_str(&format!("{text:?}\n    is       {found:?}\n    should be {expected:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Returns the messages of a text. Each one is within Telegram's rules, and its plain text is the visible one.
fn checked_parts(text: &str, markup: Markup) -> Vec<TextPart> {
    let parts = text_parts(text, markup);
    for part in &parts {
        let visible = match part.parse_mode {
            Some(ParseMode::Html) => check(&part.text).unwrap_or_else(|e| panic!("{e} in {:?}", part.text)),
            None => part.text.clone(),
        };
        assert_eq!(part.plain, visible, "{:?}", part.text);
        assert_eq!(visible.trim(), visible, "Telegram would trim {:?}", part.text);
        assert!(visible.encode_utf16().count() <= 4_096, "{} units", visible.encode_utf16().count());
    }
    parts
}

/// The visible text of all messages without white space.
fn solid(parts: &[TextPart]) -> String {
    parts.iter().flat_map(|part| part.plain.chars()).filter(|ch| !ch.is_whitespace()).collect()
}
