//! A text with the tags that apply to each stretch of it.

use std::rc::Rc;

/// What a tag does to its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Bold.
    Bold,
    /// Italic.
    Italic,
    /// Underlined.
    Underline,
    /// Struck through.
    Strike,
    /// Hidden until the reader touches it.
    Spoiler,
    /// A block quotation; an expandable one is collapsed at first.
    Quote {
        /// Whether it is collapsed at first.
        expandable: bool,
    },
    /// A link to a URL.
    Link(Rc<str>),
    /// Inline code.
    Code,
    /// A block of code, with its language if that is known.
    Pre(Option<Rc<str>>),
    /// A custom emoji with its id.
    Emoji(Rc<str>),
}

impl Style {
    /// Whether both are of one kind, whatever their values are.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// One tag of a document. Two tags of the same style have different ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    /// The style.
    pub(super) style: Style,
    /// The number of the tag in its document.
    pub(super) id: u32,
}

/// A stretch of text with the same tags. It starts where the run before it ends.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The byte position of its end.
    pub(super) end: usize,
    /// The tags, from the outermost to the innermost.
    pub(super) tags: Rc<[Tag]>,
}

/// The visible text and its runs. No run is empty.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// The visible text.
    pub(super) text: String,
    /// The runs; the last one ends with the text.
    pub(super) runs: Vec<Run>,
}

impl Document {
    /// Appends text. Telegram shows a tab as one space and every other control character as a space, so a tab
    /// is written as [`TAB`].
    pub(super) fn push(&mut self, text: &str, tags: &Rc<[Tag]>) {
        if text.is_empty() {
            return;
        }
        for ch in text.chars() {
            match ch {
                '\t' => self.text.push_str(TAB),
                ch if ch < ' ' && ch != '\n' => self.text.push(' '),
                ch => self.text.push(ch),
            }
        }
        let end = self.text.len();
        match self.runs.last_mut() {
            Some(last) if Rc::ptr_eq(&last.tags, tags) || last.tags == *tags => last.end = end,
            _ => self.runs.push(Run { end, tags: Rc::clone(tags) }),
        }
    }

    /// Removes white space at the end and returns how many line breaks were in it.
    pub(super) fn trim_end(&mut self) -> usize {
        let length = self.text.trim_end().len();
        let lines = line_breaks(&self.text[length..]);
        self.text.truncate(length);
        while let Some(last) = self.runs.pop() {
            let start = self.runs.last().map_or(0, |run| run.end);
            if start < length {
                self.runs.push(Run { end: last.end.min(length), ..last });
                break;
            }
        }
        lines
    }

    /// The tags of the last run.
    pub(super) fn last_tags(&self) -> &[Tag] {
        self.runs.last().map_or(&[], |run| &run.tags)
    }
}

/// The width of a tab in code.
const TAB: &str = "    ";

/// The number of line breaks in `text`.
pub(super) fn line_breaks(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}
