//! Builds a document from the events of a front end: text, tags that open and close, and block borders.

use std::rc::Rc;

use super::document::{Document, Style, Tag, line_breaks};
use super::table::{Align, Table, TableLink};

/// The most line breaks at the border of two blocks: one empty line.
const MAX_BREAKS: usize = 2;
/// The deepest list that is still indented. A deeper one would waste the width of a phone.
const MAX_INDENTED_LISTS: usize = 6;

/// A tag that is open, and how often it was opened within itself.
#[derive(Debug)]
struct Open {
    tag: Tag,
    depth: usize,
    /// The length of the text when the tag was opened.
    start: usize,
}

/// The number of tags that are open around a stretch of text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope(usize);

/// Builds a [`Document`]. Tags need not be closed, or in the order in which they were opened.
#[derive(Debug, Default)]
pub(super) struct Writer {
    document: Document,
    open: Vec<Open>,
    /// The tags that apply to text; `None` after a change of `open`.
    tags: Option<Rc<[Tag]>>,
    ids: u32,
    /// The least number of line breaks before the next text; zero if it is not at a block border.
    breaks: usize,
    /// The line breaks that the source has at the block border.
    source_breaks: usize,
    /// Whether line breaks of the source at the block border are within a block or between two tags of blocks
    /// (`<li>` on a line of its own), where HTML means nothing by them.
    ignores_source_breaks: bool,
    /// Whether a line break of the source is still part of the break before it (`<br>` at the end of a line).
    after_break: bool,
    /// The mark of a list item that has no text yet.
    mark: String,
    /// The next number of each open list; `None` for a list without numbers.
    lists: Vec<Option<u64>>,
    table: Option<Table>,
    /// The tables within the open table, which are shown as its text.
    inner_tables: usize,
}

impl Writer {
    /// Appends visible text. At a block border its leading white space is dropped.
    pub(super) fn text(&mut self, text: &str) {
        let mut text = if self.after_break { text.strip_prefix('\n').unwrap_or(text) } else { text };
        self.after_break = false;
        if let Some(table) = &mut self.table {
            let link = self.open.iter().find(|open| matches!(open.tag.style, Style::Link(_)));
            table.text(text, link.map(|open| &open.tag));
            return;
        }
        if self.breaks > 0 || self.document.text.is_empty() {
            let solid = text.trim_start();
            let space = &text[..text.len() - solid.len()];
            if !self.ignores_source_breaks {
                self.source_breaks += line_breaks(space);
            }
            if solid.is_empty() {
                return;
            }
            // The indentation of the first line of code stays.
            let in_code = self.is_open(&Style::Pre(None));
            let dropped = if in_code { space.rfind('\n').map_or(0, |at| at + 1) } else { space.len() };
            text = &text[dropped..];
            self.write_breaks();
        }
        let tags = self.tags();
        self.document.push(text, &tags);
    }

    /// Starts a new line within a block.
    pub(super) fn line_break(&mut self) {
        self.after_break = false;
        if self.breaks > 0 && self.table.is_none() {
            self.breaks = MAX_BREAKS;
        } else {
            self.text("\n");
        }
        self.after_break = true;
    }

    /// Ends the block before: the next text is at least `lines` line breaks further.
    pub(super) fn block(&mut self, lines: usize) {
        self.after_break = false;
        if let Some(table) = &mut self.table {
            return table.text(" ", None);
        }
        let source_breaks = self.document.trim_end() + self.source_breaks;
        self.breaks = self.breaks.max(lines).max(source_breaks.min(MAX_BREAKS));
        self.source_breaks = 0;
        self.ignores_source_breaks = true;
    }

    /// Opens a tag.
    pub(super) fn open(&mut self, style: Style) {
        if let Some(open) = self.open.iter_mut().find(|open| open.tag.style.is_like(&style)) {
            open.depth += 1;
            return;
        }
        self.ids += 1;
        let start = self.document.text.len();
        self.open.push(Open { tag: Tag { style, id: self.ids }, depth: 1, start });
        self.tags = None;
    }

    /// Closes the tag that was opened last with a style like `style`, if there is one.
    pub(super) fn close(&mut self, style: &Style) {
        if let Some(at) = self.open.iter().position(|open| open.tag.style.is_like(style)) {
            self.open[at].depth -= 1;
            if self.open[at].depth == 0 {
                self.open.remove(at);
                self.tags = None;
            }
        }
    }

    /// Whether a tag with a style like `style` is open.
    pub(super) fn is_open(&self, style: &Style) -> bool {
        self.open.iter().any(|open| open.tag.style.is_like(style))
    }

    /// Opens a block of text with a style: a quotation, a block of code.
    pub(super) fn open_block(&mut self, style: Style) {
        self.block(1);
        self.open(style);
    }

    /// Closes a block that `open_block` opened, and the tags that were opened in it.
    pub(super) fn close_block(&mut self, style: &Style) {
        let Some(at) = self.open.iter().position(|open| open.tag.style.is_like(style)) else { return };
        // The line break before the end tag is not one between the blocks, but those behind it are.
        self.document.trim_end();
        self.block(1);
        self.ignores_source_breaks = false;
        if self.open[at].depth > 1 {
            self.open[at].depth -= 1;
        } else {
            self.close_scope(Scope(at));
        }
    }

    /// Starts a stretch of text whose tags end with it.
    pub(super) fn open_scope(&self) -> Scope {
        Scope(self.open.len())
    }

    /// Closes the tags that were opened in `scope`.
    pub(super) fn close_scope(&mut self, scope: Scope) {
        if scope.0 < self.open.len() {
            self.open.truncate(scope.0);
            self.tags = None;
        }
    }

    /// Sets the language of the open block of code, if it has no text and no language yet.
    pub(super) fn set_language(&mut self, language: &str) {
        let start = self.document.text.len();
        let block = self.open.iter_mut().find(|open| matches!(open.tag.style, Style::Pre(None)));
        if let Some(open) = block.filter(|open| open.start == start) {
            open.tag.style = Style::Pre(Some(language.into()));
            self.tags = None;
        }
    }

    /// Closes the open link. A link without text shows its URL.
    pub(super) fn close_link(&mut self) {
        let length = self.document.text.len();
        let link = Style::Link("".into());
        let empty = self.open.iter().find(|open| open.tag.style.is_like(&link) && open.start == length);
        let url = empty.filter(|open| open.depth == 1 && self.table.is_none()).map(|open| &open.tag.style);
        if let Some(Style::Link(url)) = url {
            let url = Rc::clone(url);
            self.text(&url);
        }
        self.close(&link);
    }

    /// Opens a list. A numbered one starts with `number`.
    pub(super) fn open_list(&mut self, number: Option<u64>) {
        self.block(if self.lists.is_empty() { 2 } else { 1 });
        self.lists.push(number);
    }

    /// Closes the innermost list.
    pub(super) fn close_list(&mut self) {
        self.lists.pop();
        self.block(if self.lists.is_empty() { 2 } else { 1 });
    }

    /// Starts a list item.
    pub(super) fn open_item(&mut self) {
        self.block(1);
        if self.table.is_some() {
            return self.text("• ");
        }
        if self.mark.is_empty() {
            let depth = self.lists.len().saturating_sub(1).min(MAX_INDENTED_LISTS);
            self.mark = "  ".repeat(depth);
        }
        match self.lists.last_mut() {
            Some(Some(number)) => {
                self.mark.push_str(&format!("{number}. "));
                *number = number.saturating_add(1);
            }
            _ => self.mark.push_str("• "),
        }
    }

    /// Replaces the mark of the item that has just started by a check box.
    pub(super) fn check_box(&mut self, checked: bool) {
        let mark = if checked { "☑ " } else { "☐ " };
        match self.mark.strip_suffix("• ") {
            Some(indent) => self.mark = format!("{indent}{mark}"),
            None => self.mark.push_str(mark),
        }
    }

    /// Ends a list item.
    pub(super) fn close_item(&mut self) {
        self.mark.clear();
        self.block(1);
    }

    /// Starts a table. A table within a table is shown as text of its cell.
    pub(super) fn open_table(&mut self, aligns: Vec<Align>) {
        if self.table.is_some() {
            self.inner_tables += 1;
        } else {
            self.table = Some(Table::new(aligns));
        }
    }

    /// The table to which rows and cells belong; `None` outside a table and in a table within a table.
    pub(super) fn table(&mut self) -> Option<&mut Table> {
        self.table.as_mut().filter(|_| self.inner_tables == 0)
    }

    /// Ends a table and writes it as a block of code, because only there columns stay aligned. Code cannot contain
    /// links, so they follow the table.
    pub(super) fn close_table(&mut self) {
        if self.inner_tables > 0 {
            self.inner_tables -= 1;
        } else if let Some(mut table) = self.table.take() {
            let links = table.take_links();
            self.open_block(Style::Pre(None));
            self.text(&table.layout());
            self.close_block(&Style::Pre(None));
            for TableLink { tag, text } in links {
                self.open(tag.style.clone());
                self.text(text.trim());
                self.close(&tag.style);
                self.block(1);
            }
        }
    }

    /// Returns the document. Tags that are still open end with it.
    pub(super) fn finish(mut self) -> Document {
        self.inner_tables = 0;
        self.close_table();
        self.document
    }

    /// Writes the line breaks of a block border and the mark of a list item. They have only the tags that span
    /// the border, so that two neighbouring quotations stay two.
    fn write_breaks(&mut self) {
        let lines = self.breaks.max(self.source_breaks.min(MAX_BREAKS));
        (self.breaks, self.source_breaks, self.ignores_source_breaks) = (0, 0, false);
        let tags = self.tags();
        let pairs = tags.iter().zip(self.document.last_tags());
        let spanning: Rc<[Tag]> =
            pairs.take_while(|(tag, last)| tag == last).map(|(tag, _)| tag.clone()).collect();
        if !self.document.text.is_empty() {
            self.document.push(&"\n".repeat(lines), &spanning);
        }
        let is_outside = |tag: &&Tag| matches!(tag.style, Style::Quote { .. }) || spanning.contains(tag);
        let outside: Rc<[Tag]> = tags.iter().filter(is_outside).cloned().collect();
        let mark = std::mem::take(&mut self.mark);
        self.document.push(&mark, &outside);
    }

    /// The tags for text, by the rules of Telegram for tags within tags: nothing but a quotation may contain
    /// code, links, custom emoji and code do not contain each other, and a quotation is the outermost tag.
    fn tags(&mut self) -> Rc<[Tag]> {
        if let Some(tags) = &self.tags {
            return Rc::clone(tags);
        }
        let has = |style: &Style| self.is_open(style);
        let in_pre = has(&Style::Pre(None));
        let in_link = !in_pre && has(&Style::Link("".into()));
        let in_code = !in_pre && !in_link && has(&Style::Code);
        let applies = |style: &Style| match style {
            Style::Quote { .. } => true,
            Style::Pre(_) => in_pre,
            Style::Link(_) => in_link,
            Style::Code => in_code,
            Style::Emoji(_) => !in_pre && !in_link && !in_code,
            _ => !in_pre && !in_code,
        };
        let mut tags: Vec<Tag> = self.open.iter().map(|open| open.tag.clone()).collect();
        tags.retain(|tag| applies(&tag.style));
        tags.sort_by_key(|tag| !matches!(tag.style, Style::Quote { .. }));
        let tags: Rc<[Tag]> = tags.into();
        self.tags = Some(Rc::clone(&tags));
        tags
    }
}
