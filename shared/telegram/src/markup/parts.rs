//! Cuts a document into messages and writes them in Telegram's HTML.

use super::document::{Document, Run, Style, Tag};
use crate::client::ParseMode;
use crate::split::{MAX_MESSAGE_UNITS, cut};

/// The most entities of one message. Telegram drops the markup of all further ones.
const MAX_ENTITIES: usize = 100;
/// The most bytes that the entities of one message take. Telegram refuses a message from about 9500 on.
const MAX_ENTITY_BYTES: usize = 8_000;
/// The bytes that an entity takes besides its URL or language.
const ENTITY_BYTES: usize = 16;

/// One message of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPart {
    /// The text to send with `parse_mode`: at most 4096 UTF-16 units after entity parsing, well-formed.
    pub text: String,
    /// The parse mode; `None` for plain text.
    pub parse_mode: Option<ParseMode>,
    /// The readable text without markup, for when Telegram refuses the markup. Never the source of the markup.
    pub plain: String,
}

impl TextPart {
    /// A message that is sent as it is.
    pub(super) fn without_markup(text: &str) -> Self {
        Self { text: text.to_owned(), parse_mode: None, plain: text.to_owned() }
    }
}

/// Whether `text` has a character that Telegram shows. It refuses a message without one.
pub(super) fn is_visible(text: &str) -> bool {
    text.chars().any(|ch| {
        let is_empty = matches!(ch,
            '\0'..=' ' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2800}' | '\u{feff}' | '\u{fffc}');
        !is_empty && !ch.is_whitespace()
    })
}

/// Cuts a document into messages. A message without a visible character is left out.
pub(super) fn parts(document: &Document) -> Vec<TextPart> {
    let text = &document.text;
    let mut parts = Vec::new();
    let mut at = 0;
    loop {
        at = text.len() - text[at..].trim_start().len();
        if at == text.len() {
            return parts;
        }
        let max_bytes = entities_end(document, at) - at;
        let end = at + cut(&text[at..], MAX_MESSAGE_UNITS, max_bytes);
        let end = code_start(document, end).filter(|start| *start > at).unwrap_or(end);
        let plain = text[at..end].trim_end();
        if is_visible(plain) {
            let html = html(document, at, at + plain.len());
            parts.push(TextPart { text: html, parse_mode: Some(ParseMode::Html), plain: plain.to_owned() });
        }
        at = end;
    }
}

/// Returns the start of the block of code that contains the byte position `end`, if one message can hold the block.
fn code_start(document: &Document, end: usize) -> Option<usize> {
    let at = document.runs.partition_point(|run| run.end <= end);
    let run = document.runs.get(at)?;
    let start = at.checked_sub(1).map_or(0, |before| document.runs[before].end);
    let is_inside = start < end && run.tags.iter().any(|tag| matches!(tag.style, Style::Pre(_)));
    let fits = || {
        document.text[start..run.end].encode_utf16().take(MAX_MESSAGE_UNITS + 1).count() <= MAX_MESSAGE_UNITS
    };
    (is_inside && fits()).then_some(start)
}

/// The runs from the one that contains the byte position `start` on.
fn runs_from(document: &Document, start: usize) -> &[Run] {
    &document.runs[document.runs.partition_point(|run| run.end <= start)..]
}

/// Returns the byte position up to which the entities of a message that starts at `start` are within the limits.
fn entities_end(document: &Document, start: usize) -> usize {
    let mut open = OpenTags::default();
    let (mut entities, mut bytes, mut end) = (0, 0, start);
    for run in runs_from(document, start) {
        for tag in open.change(&run.tags).opened {
            entities += 1;
            bytes += ENTITY_BYTES + argument(&tag.style).map_or(0, str::len);
        }
        // The first run always fits: it has at most one entity of each style.
        let is_full = entities > MAX_ENTITIES || bytes > MAX_ENTITY_BYTES;
        // A unit takes at most three bytes, so that further runs are beyond the message.
        if end > start && (is_full || end - start > MAX_MESSAGE_UNITS * 3) {
            return end;
        }
        end = run.end;
    }
    end
}

/// Writes the text between two byte positions.
fn html(document: &Document, start: usize, end: usize) -> String {
    let mut html = String::new();
    let mut open = OpenTags::default();
    let mut at = start;
    for run in runs_from(document, start) {
        if at >= end {
            break;
        }
        let change = open.change(&run.tags);
        change.closed.iter().for_each(|tag| write_end(&tag.style, &mut html));
        change.opened.iter().for_each(|tag| write_start(&tag.style, &mut html));
        let to = run.end.min(end);
        write_escaped(&document.text[at..to], &mut html);
        at = to;
    }
    open.change(&[]).closed.iter().for_each(|tag| write_end(&tag.style, &mut html));
    html
}

/// The tags that are open in the written HTML, from the outermost to the innermost.
#[derive(Default)]
struct OpenTags<'a>(Vec<&'a Tag>);

/// The tags to close and then to open, in the order of writing.
struct Change<'a> {
    closed: Vec<&'a Tag>,
    opened: Vec<&'a Tag>,
}

impl<'a> OpenTags<'a> {
    /// Changes to other tags. All tags within a tag that ends are closed, and opened again if they go on.
    fn change(&mut self, tags: &'a [Tag]) -> Change<'a> {
        let kept = self.0.iter().zip(tags).take_while(|(open, tag)| **open == *tag).count();
        let closed = self.0.drain(kept..).rev().collect();
        let opened: Vec<&Tag> = tags[kept..].iter().collect();
        self.0.extend(&opened);
        Change { closed, opened }
    }
}

/// The URL or language of a style.
fn argument(style: &Style) -> Option<&str> {
    match style {
        Style::Link(argument) | Style::Pre(Some(argument)) | Style::Emoji(argument) => Some(argument),
        _ => None,
    }
}

fn write_start(style: &Style, html: &mut String) {
    let start = match style {
        Style::Bold => "<b>",
        Style::Italic => "<i>",
        Style::Underline => "<u>",
        Style::Strike => "<s>",
        Style::Spoiler => "<tg-spoiler>",
        Style::Quote { expandable: false } => "<blockquote>",
        Style::Quote { expandable: true } => "<blockquote expandable>",
        Style::Code => "<code>",
        Style::Pre(None) => "<pre>",
        Style::Pre(Some(_)) => "<pre><code class=\"language-",
        Style::Link(_) => "<a href=\"",
        Style::Emoji(_) => "<tg-emoji emoji-id=\"",
    };
    html.push_str(start);
    if let Some(argument) = argument(style) {
        write_escaped(&argument.replace('"', "%22"), html);
        html.push_str("\">");
    }
}

fn write_end(style: &Style, html: &mut String) {
    html.push_str(match style {
        Style::Bold => "</b>",
        Style::Italic => "</i>",
        Style::Underline => "</u>",
        Style::Strike => "</s>",
        Style::Spoiler => "</tg-spoiler>",
        Style::Quote { .. } => "</blockquote>",
        Style::Code => "</code>",
        Style::Pre(None) => "</pre>",
        Style::Pre(Some(_)) => "</code></pre>",
        Style::Link(_) => "</a>",
        Style::Emoji(_) => "</tg-emoji>",
    });
}

fn write_escaped(text: &str, html: &mut String) {
    for ch in text.chars() {
        match ch {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            ch => html.push(ch),
        }
    }
}
