//! Tags of HTML in a text.

use super::entity;

/// A tag as the source has it.
#[derive(Debug)]
pub(super) struct SourceTag<'a> {
    /// The name in lower case.
    pub(super) name: String,
    /// Whether it is an end tag.
    pub(super) is_end: bool,
    /// The text between the name and `>`.
    attributes: &'a str,
    /// The length of the tag in bytes.
    pub(super) length: usize,
}

/// An attribute of a tag. Its value is `None` if it has none (`expandable`).
type Attribute<'a> = (&'a str, Option<&'a str>);

impl<'a> SourceTag<'a> {
    /// Reads the tag at the start of `source`. A tag has no second `<`, also not in a value, so that the search
    /// for its end never reads a text twice.
    pub(super) fn read(source: &'a str) -> Option<Self> {
        let inside = source.strip_prefix('<')?;
        let (is_end, inside) = match inside.strip_prefix('/') {
            Some(rest) => (true, rest),
            None => (false, inside),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let name_length = inside.bytes().position(|byte| !is_name(byte))?;
        let (name, rest) = inside.split_at(name_length);
        let ends_well = rest.starts_with(|ch: char| ch.is_whitespace() || ch == '/' || ch == '>');
        if !name.starts_with(|ch: char| ch.is_ascii_alphabetic()) || !ends_well {
            return None;
        }
        let end = tag_end(rest)?;
        let attributes = rest[..end].trim_end_matches('/');
        let length = source.len() - rest.len() + end + 1;
        Some(Self { name: name.to_ascii_lowercase(), is_end, attributes, length })
    }

    /// Returns the decoded value of an attribute; empty for an attribute without a value.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        let found = self.attributes().find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(entity::decode(found.1.unwrap_or_default()))
    }

    /// Whether it has attributes.
    pub(super) fn has_attributes(&self) -> bool {
        self.attributes().next().is_some()
    }

    /// Whether an attribute has no value.
    pub(super) fn has_bare_attribute(&self) -> bool {
        self.attributes().any(|(_, value)| value.is_none())
    }

    /// The attributes in their order.
    fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> {
        let mut rest = self.attributes;
        std::iter::from_fn(move || {
            let (attribute, after) = first_attribute(rest)?;
            rest = after;
            Some(attribute)
        })
    }
}

/// The position of the `>` that ends a tag; `None` if a `<` or the end of the text is first.
fn tag_end(source: &str) -> Option<usize> {
    let mut quote = None;
    let mut before = b' ';
    for (at, byte) in source.bytes().enumerate() {
        match (quote, byte) {
            (_, b'<') => return None,
            (None, b'>') => return Some(at),
            // A quote opens a value only behind `=`. Elsewhere it is a character: `<b it's>`.
            (None, b'"' | b'\'') if before == b'=' => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
    }
    None
}

/// The first attribute of `source`, and the text behind it.
fn first_attribute(source: &str) -> Option<(Attribute<'_>, &str)> {
    let source = source.trim_start_matches(|ch: char| ch.is_whitespace() || ch == '/');
    if source.is_empty() {
        return None;
    }
    // A name has at least one character, so that the iteration ends.
    let is_end =
        |(at, ch): (usize, char)| (at > 0 && (ch == '=' || ch.is_whitespace() || ch == '/')).then_some(at);
    let name_length = source.char_indices().find_map(is_end).unwrap_or(source.len());
    let (name, rest) = source.split_at(name_length);
    let Some(value) = rest.trim_start().strip_prefix('=') else { return Some(((name, None), rest)) };
    let value = value.trim_start();
    for quote in ['"', '\''] {
        if let Some(quoted) = value.strip_prefix(quote) {
            let (value, rest) = quoted.split_once(quote).unwrap_or((quoted, ""));
            return Some(((name, Some(value)), rest));
        }
    }
    let length = value.find(char::is_whitespace).unwrap_or(value.len());
    let (value, rest) = value.split_at(length);
    Some(((name, Some(value)), rest))
}
