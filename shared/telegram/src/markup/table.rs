//! A table as lines of text.

use unicode_width::UnicodeWidthStr;

use super::document::Tag;

/// The widest column that sets the position of the next one. A longer cell moves only the rest of its line.
const MAX_COLUMN_WIDTH: usize = 40;
/// The widest table whose columns are aligned. A wider one wraps on every screen, where alignment only adds
/// space.
const MAX_TABLE_WIDTH: usize = 160;

/// The side of a column to which its cells are moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Align {
    /// Left.
    #[default]
    Left,
    /// Right.
    Right,
    /// The middle.
    Center,
}

/// A link in a cell.
#[derive(Debug)]
pub(super) struct TableLink {
    /// The tag with its URL.
    pub(super) tag: Tag,
    /// The text of the link.
    pub(super) text: String,
}

/// The cells of a table, in the order in which they come.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    aligns: Vec<Align>,
    has_header: bool,
    links: Vec<TableLink>,
}

impl Table {
    /// An empty table. A column without an alignment is aligned to the left.
    pub(super) fn new(aligns: Vec<Align>) -> Self {
        Self { aligns, ..Self::default() }
    }

    /// Starts a row.
    pub(super) fn row(&mut self) {
        self.rows.push(Vec::new());
    }

    /// Starts a cell.
    pub(super) fn cell(&mut self) {
        match self.rows.last_mut() {
            Some(row) => row.push(String::new()),
            None => self.rows.push(vec![String::new()]),
        }
    }

    /// Starts a cell of the header, if the table is still in its first row.
    pub(super) fn header_cell(&mut self) {
        self.cell();
        self.has_header |= self.rows.len() == 1;
    }

    /// Appends text to the cell, which may be the text of a link.
    pub(super) fn text(&mut self, text: &str, link: Option<&Tag>) {
        if self.rows.last().is_none_or(Vec::is_empty) {
            if text.trim().is_empty() {
                return;
            }
            self.cell();
        }
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.last_mut()) {
            cell.push_str(text);
        }
        let Some(tag) = link else { return };
        match self.links.last_mut().filter(|last| last.tag == *tag) {
            Some(last) => last.text.push_str(text),
            None => self.links.push(TableLink { tag: tag.clone(), text: text.to_owned() }),
        }
    }

    /// Removes and returns the links of all cells.
    pub(super) fn take_links(&mut self) -> Vec<TableLink> {
        std::mem::take(&mut self.links)
    }

    /// Returns the lines of the table: its columns are aligned, and a line separates its header.
    pub(super) fn layout(mut self) -> String {
        for cell in self.rows.iter_mut().flatten() {
            *cell = cell.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        let header = self.rows.first().filter(|_| self.has_header).map(Vec::len);
        let mut widths = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().min(MAX_COLUMN_WIDTH).max(*width);
            }
        }
        if widths.iter().map(|width| width + 3).sum::<usize>() > MAX_TABLE_WIDTH {
            widths.fill(1);
        }
        let mut lines = String::new();
        for (at, row) in self.rows.iter().enumerate() {
            self.write_row(row, &widths, &mut lines);
            if let Some(columns) = header.filter(|_| at == 0) {
                let dashes: Vec<String> = widths[..columns].iter().map(|width| "-".repeat(*width)).collect();
                lines.push_str(&dashes.join("-+-"));
                lines.push('\n');
            }
        }
        lines
    }

    /// Appends one row, without space at its end. A row without text is left out.
    fn write_row(&self, row: &[String], widths: &[usize], lines: &mut String) {
        let Some(last) = row.iter().rposition(|cell| !cell.is_empty()) else { return };
        for (column, cell) in row[..=last].iter().enumerate() {
            let missing = widths[column].saturating_sub(cell.width());
            let before = match self.aligns.get(column).copied().unwrap_or_default() {
                Align::Left => 0,
                Align::Right => missing,
                Align::Center => missing / 2,
            };
            lines.push_str(&" ".repeat(before));
            lines.push_str(cell);
            if column < last {
                lines.push_str(&" ".repeat(missing - before));
                lines.push_str(" | ");
            }
        }
        lines.push('\n');
    }
}
