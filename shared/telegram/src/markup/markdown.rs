//! Reads Markdown.

use pulldown_cmark::{Alignment, CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd};

use super::document::Style;
use super::html::{self, link, rule, set_language};
use super::table::Align;
use super::writer::{Scope, Writer};

/// A punctuation mark that texts do not have.
const BORDER_MARK: char = '\u{2e31}';
/// The letters from here on (Hangul, kana, Han) have no space between them and punctuation.
const FIRST_LETTER_WITHOUT_SPACES: char = '\u{1100}';

/// Writes the text and the tags of `source`.
pub(super) fn read(source: &str, writer: &mut Writer) {
    // Subscripts are on, so that `~` alone is no strikethrough: `5~10` and `20~30` are ranges.
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_SUBSCRIPT;
    let marked = with_border_marks(source);
    let mut reader = Reader {
        html: html::Reader::default(),
        block: None,
        links: Vec::new(),
        scopes: Vec::new(),
        is_marked: marked.is_some(),
        writer,
    };
    for event in Parser::new_ext(marked.as_deref().unwrap_or(source), options) {
        reader.event(event);
    }
}

struct Reader<'w> {
    html: html::Reader,
    /// The text of the open block of code or of HTML, which comes in several events.
    block: Option<String>,
    /// The open links and images; `false` for one whose URL is not allowed.
    links: Vec<bool>,
    /// The open blocks that end the HTML tags in them: an unclosed `<b>` does not make the rest of the text bold.
    scopes: Vec<Scope>,
    /// Whether the source has border marks, which no text may keep.
    is_marked: bool,
    writer: &'w mut Writer,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) if self.block.is_some() => {
                let text = self.without_marks(text);
                self.block.get_or_insert_default().push_str(&text);
            }
            Event::Text(text) => self.html.write_text(&self.without_marks(text), self.writer),
            Event::Code(text) => {
                self.writer.open(Style::Code);
                self.writer.text(&self.without_marks(text));
                self.writer.close(&Style::Code);
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                let html = self.without_marks(html);
                self.html.read(&html, self.writer);
            }
            Event::SoftBreak | Event::HardBreak => self.writer.text("\n"),
            Event::Rule => {
                self.writer.block(2);
                rule(self.writer);
                self.writer.block(2);
            }
            Event::TaskListMarker(checked) => self.writer.check_box(checked),
            // The options for these are off. Their text stays.
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.writer.text(&text);
            }
        }
    }

    fn without_marks<'a>(&self, text: CowStr<'a>) -> CowStr<'a> {
        if self.is_marked { text.replace(BORDER_MARK, "").into() } else { text }
    }

    fn start(&mut self, tag: Tag<'_>) {
        if has_scope(tag.to_end()) {
            self.scopes.push(self.writer.open_scope());
        }
        match tag {
            Tag::Heading { .. } => {
                self.writer.block(2);
                self.writer.open(Style::Bold);
            }
            Tag::BlockQuote(_) => self.writer.open_block(Style::Quote { expandable: false }),
            Tag::CodeBlock(kind) => {
                self.writer.open_block(Style::Pre(None));
                if let CodeBlockKind::Fenced(info) = kind {
                    let language = info.split([' ', ',', '{', '\t']).next().unwrap_or_default();
                    set_language(language, self.writer);
                }
                self.block = Some(String::new());
            }
            Tag::HtmlBlock => {
                self.writer.block(1);
                self.block = Some(String::new());
            }
            Tag::List(number) => self.writer.open_list(number),
            Tag::Item => self.writer.open_item(),
            Tag::Table(alignments) => {
                self.writer.block(2);
                self.writer.open_table(alignments.into_iter().map(align).collect());
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = self.writer.table() {
                    table.row();
                }
            }
            Tag::TableCell => {
                if let Some(table) = self.writer.table() {
                    table.header_cell();
                }
            }
            Tag::Emphasis => self.writer.open(Style::Italic),
            Tag::Strong => self.writer.open(Style::Bold),
            Tag::Strikethrough => self.writer.open(Style::Strike),
            Tag::Subscript => self.writer.text("~"),
            Tag::Link { dest_url: url, .. } | Tag::Image { dest_url: url, .. } => {
                let link = link(&self.without_marks(url));
                self.links.push(link.is_some());
                link.into_iter().for_each(|link| self.writer.open(link));
            }
            _ => self.writer.block(1),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        if let Some(scope) = self.scopes.pop_if(|_| has_scope(tag)) {
            self.writer.close_scope(scope);
        }
        match tag {
            TagEnd::BlockQuote(_) => {
                self.writer.close_block(&Style::Quote { expandable: false });
                self.writer.block(2);
            }
            TagEnd::CodeBlock => {
                self.writer.text(&self.block.take().unwrap_or_default());
                self.writer.close_block(&Style::Pre(None));
                self.writer.block(2);
            }
            TagEnd::HtmlBlock => {
                self.html.read(&self.block.take().unwrap_or_default(), self.writer);
                self.writer.block(2);
            }
            TagEnd::List(_) => self.writer.close_list(),
            TagEnd::Item => self.writer.close_item(),
            TagEnd::Table => {
                self.writer.close_table();
                self.writer.block(2);
            }
            TagEnd::Emphasis => self.writer.close(&Style::Italic),
            TagEnd::Strong => self.writer.close(&Style::Bold),
            TagEnd::Strikethrough => self.writer.close(&Style::Strike),
            TagEnd::Subscript => self.writer.text("~"),
            TagEnd::Link | TagEnd::Image => {
                if self.links.pop() == Some(true) {
                    self.writer.close_link();
                }
            }
            TagEnd::TableHead | TagEnd::TableRow | TagEnd::TableCell => {}
            _ => self.writer.block(2),
        }
    }
}

/// Sets a mark beside each `**` between a punctuation mark and a letter of Chinese, Japanese or Korean, as in
/// `**注意：**内容`. CommonMark does not read such a `**` as the border of strong text, because it takes it for one
/// within a word. Beside the mark it does. Returns `None` if there is no such place.
fn with_border_marks(source: &str) -> Option<String> {
    let is_letter = |ch: char| ch >= FIRST_LETTER_WITHOUT_SPACES && ch.is_alphanumeric();
    let is_punctuation = |ch: char| {
        !ch.is_alphanumeric() && !ch.is_whitespace() && !ch.is_control() && ch != '\\' && ch != '*'
    };
    if source.contains(BORDER_MARK) {
        return None;
    }
    let (mut marked, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(found) = source[at..].find("**") {
        let start = at + found;
        let rest = source[start..].trim_start_matches('*');
        let end = source.len() - rest.len();
        let (before, after) = (source[..start].chars().next_back(), rest.chars().next());
        let border = if before.is_some_and(is_punctuation) && after.is_some_and(is_letter) {
            Some(end)
        } else if before.is_some_and(is_letter) && after.is_some_and(is_punctuation) {
            Some(start)
        } else {
            None
        };
        if let Some(border) = border {
            marked.push_str(&source[copied..border]);
            marked.push(BORDER_MARK);
            copied = border;
        }
        at = end;
    }
    marked.push_str(&source[copied..]);
    (copied > 0).then_some(marked)
}

/// Whether HTML tags that are opened in a block end with it.
fn has_scope(tag: TagEnd) -> bool {
    matches!(tag, TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::Item | TagEnd::TableCell)
}

fn align(alignment: Alignment) -> Align {
    match alignment {
        Alignment::None | Alignment::Left => Align::Left,
        Alignment::Right => Align::Right,
        Alignment::Center => Align::Center,
    }
}
