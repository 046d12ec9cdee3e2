//! Reads HTML: that of Telegram, and that which models write for browsers.
//!
//! A tag that HTML does not have is shown as text, because it is a placeholder (`<TOKEN>`) or code
//! (`Vec<String>`). So are an `<` without a tag and a comment without an end. Within code, every tag is shown
//! except those of Telegram: the author has not escaped the code (`<code><div></code>`).

use super::document::Style;
use super::entity;
use super::meaning::Meaning;
use super::tag::SourceTag;
use super::writer::Writer;

/// The longest URL of a link. Browsers and Telegram's clients support no longer ones.
const MAX_URL_BYTES: usize = 2_048;
/// The longest name of a programming language.
const MAX_LANGUAGE_BYTES: usize = 32;
/// The schemes of links. Others are shown as text: they do nothing or harm on the reader's device.
const SCHEMES: [&str; 4] = ["http", "https", "tg", "mailto"];

/// Reads HTML, in one piece or in several with other text between them.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The open `<span>` tags; `true` for a spoiler.
    spans: Vec<bool>,
    /// The open `<sup>` tags.
    superscripts: usize,
    /// The open tags of widgets.
    widgets: usize,
}

impl Reader {
    /// Writes the text and the tags of `source`.
    pub(super) fn read(&mut self, source: &str, writer: &mut Writer) {
        let mut hidden = Hidden::default();
        let mut text = String::new();
        let mut rest = source;
        while let Some(at) = rest.find('<') {
            text.push_str(&entity::decode(&rest[..at]));
            rest = &rest[at..];
            let in_code = writer.is_open(&Style::Code) || writer.is_open(&Style::Pre(None));
            if let Some(length) = if in_code { None } else { hidden.length(rest) } {
                rest = &rest[length..];
                continue;
            }
            let tag = SourceTag::read(rest).and_then(|tag| Some((self.meaning(&tag, in_code)?, tag)));
            let Some((meaning, tag)) = tag else {
                text.push('<');
                rest = &rest[1..];
                continue;
            };
            self.write_text(&std::mem::take(&mut text), writer);
            rest = &rest[tag.length..];
            if tag.is_end {
                self.close(meaning, writer);
            } else {
                self.open(meaning, &tag, writer);
            }
        }
        text.push_str(&entity::decode(rest));
        self.write_text(&text, writer);
    }

    /// Returns the meaning of a tag; `None` if it is text.
    fn meaning(&mut self, tag: &SourceTag<'_>, in_code: bool) -> Option<Meaning> {
        let meaning = Meaning::of(tag)?;
        if in_code && !meaning.applies_in_code() {
            return None;
        }
        if let Meaning::Widget { has_end } = meaning {
            if tag.is_end {
                self.widgets = self.widgets.checked_sub(1)?;
            } else if tag.has_attributes() {
                self.widgets += usize::from(has_end);
            } else {
                return None;
            }
        }
        Some(meaning)
    }

    /// Writes text that has no markup.
    pub(super) fn write_text(&self, text: &str, writer: &mut Writer) {
        if text.is_empty() {
            return;
        }
        if self.superscripts > 0 {
            let raised: String = text.chars().map(superscript).collect();
            writer.text(&raised);
        } else {
            writer.text(text);
        }
    }

    fn open(&mut self, meaning: Meaning, tag: &SourceTag<'_>, writer: &mut Writer) {
        match meaning {
            Meaning::Styled(style) => {
                writer.open(style);
                let class = if tag.name == "code" { tag.attribute("class") } else { None };
                let mut names = class.iter().flat_map(|class| class.split_whitespace());
                if let Some(language) = names.find_map(|name| name.strip_prefix("language-")) {
                    set_language(language, writer);
                }
            }
            Meaning::Block(lines) => writer.block(lines),
            Meaning::Heading(lines) => {
                writer.block(lines);
                writer.open(Style::Bold);
            }
            Meaning::StyledBlock(style) => writer.open_block(style),
            Meaning::LineBreak => writer.line_break(),
            Meaning::Rule => rule(writer),
            Meaning::List(numbered) => {
                let start = || tag.attribute("start").and_then(|start| start.parse().ok()).unwrap_or(1);
                writer.open_list(numbered.then(start));
            }
            Meaning::Item => writer.open_item(),
            Meaning::Table => writer.open_table(Vec::new()),
            Meaning::Row => match writer.table() {
                Some(table) => table.row(),
                None => writer.block(1),
            },
            Meaning::Cell(is_header) => match writer.table() {
                Some(table) if is_header => table.header_cell(),
                Some(table) => table.cell(),
                None => writer.text(" "),
            },
            Meaning::Link => {
                writer.close(&Style::Link("".into()));
                if let Some(link) = tag.attribute("href").and_then(|url| link(&url)) {
                    writer.open(link);
                }
            }
            Meaning::Image => image(tag, writer),
            Meaning::Emoji => {
                let id = tag.attribute("emoji-id").filter(|id| id.parse::<i64>().is_ok_and(|id| id > 0));
                if let Some(id) = id {
                    writer.open(Style::Emoji(id.into()));
                }
            }
            Meaning::Span => {
                let is_spoiler = tag.attribute("class").is_some_and(|class| class.trim() == "tg-spoiler");
                self.spans.push(is_spoiler);
                if is_spoiler {
                    writer.open(Style::Spoiler);
                }
            }
            Meaning::Superscript => self.superscripts += 1,
            Meaning::Hidden | Meaning::Widget { .. } | Meaning::Ignored => {}
        }
    }

    fn close(&mut self, meaning: Meaning, writer: &mut Writer) {
        match meaning {
            Meaning::Styled(style) => writer.close(&style),
            Meaning::Block(lines) => writer.block(lines),
            Meaning::Heading(lines) => {
                writer.close(&Style::Bold);
                writer.block(lines);
            }
            Meaning::StyledBlock(style) => writer.close_block(&style),
            // Browsers read `</br>` as `<br>`.
            Meaning::LineBreak => writer.line_break(),
            Meaning::List(_) => writer.close_list(),
            Meaning::Item => writer.close_item(),
            Meaning::Table => writer.close_table(),
            Meaning::Row => {
                if writer.table().is_none() {
                    writer.block(1);
                }
            }
            Meaning::Link => writer.close(&Style::Link("".into())),
            Meaning::Emoji => writer.close(&Style::Emoji("".into())),
            Meaning::Span => {
                if self.spans.pop() == Some(true) {
                    writer.close(&Style::Spoiler);
                }
            }
            Meaning::Superscript => self.superscripts = self.superscripts.saturating_sub(1),
            Meaning::Cell(_)
            | Meaning::Rule
            | Meaning::Image
            | Meaning::Hidden
            | Meaning::Widget { .. }
            | Meaning::Ignored => {}
        }
    }
}

/// Finds comments, declarations, scripts and style sheets. After one search without an end, no later one can
/// succeed. This keeps the search linear.
#[derive(Default)]
struct Hidden {
    no_end: [bool; Hidden::KINDS.len()],
}

impl Hidden {
    /// How each kind starts and ends.
    const KINDS: [(&'static str, &'static str); 5] =
        [("<!--", "-->"), ("<!doctype", ">"), ("<?xml", ">"), ("<script", "</script"), ("<style", "</style")];

    /// Returns the length of the hidden text at the start of `source`.
    fn length(&mut self, source: &str) -> Option<usize> {
        let starts =
            |start: &str| source.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start));
        let kind = Self::KINDS.iter().position(|(start, _)| starts(start))?;
        let (start, end) = Self::KINDS[kind];
        let is_tag = end.starts_with('<');
        if self.no_end[kind] || (is_tag && SourceTag::read(source).is_none()) {
            return None;
        }
        let Some(at) = find_ignoring_case(&source[start.len()..], end) else {
            self.no_end[kind] = true;
            return None;
        };
        let after = start.len() + at + end.len();
        let tag_end = source[after..].find('>').filter(|_| is_tag);
        Some(after + tag_end.map_or(0, |at| at + 1))
    }
}

/// Returns the position of `words`, in upper or lower case.
fn find_ignoring_case(text: &str, words: &str) -> Option<usize> {
    text.as_bytes().windows(words.len()).position(|found| found.eq_ignore_ascii_case(words.as_bytes()))
}

/// Returns the style of a link, if its URL has a scheme that is allowed.
pub(super) fn link(url: &str) -> Option<Style> {
    let url = url.trim();
    let (scheme, _) = url.split_once(':')?;
    let is_allowed = SCHEMES.iter().any(|allowed| scheme.eq_ignore_ascii_case(allowed));
    let is_url = !url.chars().any(|ch| ch.is_whitespace() || ch.is_control()) && url.len() <= MAX_URL_BYTES;
    (is_allowed && is_url).then(|| Style::Link(url.into()))
}

/// Sets the language of the open block of code. A name that highlighters cannot know is left out.
pub(super) fn set_language(language: &str, writer: &mut Writer) {
    let is_name = |ch: char| ch.is_ascii_alphanumeric() || "+#-_.".contains(ch);
    if !language.is_empty() && language.len() <= MAX_LANGUAGE_BYTES && language.chars().all(is_name) {
        writer.set_language(language);
    }
}

/// Writes a line between two blocks.
pub(super) fn rule(writer: &mut Writer) {
    writer.block(1);
    writer.text("———");
    writer.block(1);
}

/// Writes an image as a link with its description.
fn image(tag: &SourceTag<'_>, writer: &mut Writer) {
    let description = tag.attribute("alt").unwrap_or_default();
    match tag.attribute("src").and_then(|url| link(&url)) {
        Some(link) => {
            writer.open(link);
            writer.text(&description);
            writer.close_link();
        }
        None => writer.text(&description),
    }
}

/// The raised form of a character, so that `10<sup>6</sup>` does not become 106.
fn superscript(ch: char) -> char {
    match ch {
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4'..='9' => char::from_u32('⁴' as u32 + (ch as u32 - '4' as u32)).unwrap_or(ch),
        '+' => '⁺',
        '-' | '−' => '⁻',
        'n' => 'ⁿ',
        _ => ch,
    }
}
