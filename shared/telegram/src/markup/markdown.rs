//! Reads Markdown.

use pulldown_cmark::{Alignment, CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::document::Style;
use super::html::{self, link, rule, set_language};
use super::table::Align;
use super::writer::{Scope, Writer};

/// Writes the text and the tags of `source`.
pub(super) fn read(source: &str, writer: &mut Writer) {
    // Subscripts are on, so that `~` alone is no strikethrough: `5~10` and `20~30` are ranges.
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_SUBSCRIPT;
    let mut reader =
        Reader { html: html::Reader::default(), block: None, links: Vec::new(), scopes: Vec::new(), writer };
    for event in Parser::new_ext(source, options) {
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
    writer: &'w mut Writer,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Html(text) if self.block.is_some() => {
                self.block.get_or_insert_default().push_str(&text);
            }
            Event::Text(text) => self.html.write_text(&text, self.writer),
            Event::Code(text) => {
                self.writer.open(Style::Code);
                self.writer.text(&text);
                self.writer.close(&Style::Code);
            }
            Event::Html(html) | Event::InlineHtml(html) => self.html.read(&html, self.writer),
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
                let link = link(&url);
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
