//! What the tags of HTML mean for a message.

use super::document::Style;
use super::tag::SourceTag;

/// What a tag means.
#[derive(Debug)]
pub(super) enum Meaning {
    /// Text with a style.
    Styled(Style),
    /// A block with this many line breaks before and after.
    Block(usize),
    /// A bold block.
    Heading(usize),
    /// A block of code, or a quotation.
    StyledBlock(Style),
    /// A line break.
    LineBreak,
    /// A line between blocks.
    Rule,
    /// A list; `true` for one with numbers.
    List(bool),
    /// An item of a list.
    Item,
    /// A table.
    Table,
    /// A row of a table.
    Row,
    /// A cell; `true` for one of the header.
    Cell(bool),
    /// A link.
    Link,
    /// An image.
    Image,
    /// A custom emoji.
    Emoji,
    /// A stretch of text, which can be a spoiler.
    Span,
    /// Raised text.
    Superscript,
    /// Text that is not for readers.
    Hidden,
    /// A part of a page that a message cannot have, such as a form or a picture. Its text is shown as it is.
    /// Without an attribute it is a placeholder: `mv <source> <target>`.
    Widget {
        /// Whether it has an end tag.
        has_end: bool,
    },
    /// Nothing: its text is shown as it is.
    Ignored,
}

impl Meaning {
    /// Whether a tag within code is read as a tag.
    pub(super) fn applies_in_code(&self) -> bool {
        match self {
            Self::Styled(_) | Self::Link | Self::Emoji | Self::Span | Self::LineBreak => true,
            Self::StyledBlock(style) => style.is_like(&Style::Pre(None)),
            _ => false,
        }
    }

    /// Returns the meaning of a tag; `None` for a tag that HTML does not have.
    pub(super) fn of(tag: &SourceTag<'_>) -> Option<Self> {
        // `if a <b and c> d`: a tag with the name of a variable and with words behind it is text.
        if tag.name.len() == 1 && tag.has_bare_attribute() && tag.attribute("href").is_none() {
            return None;
        }
        Some(match tag.name.as_str() {
            "b" | "strong" => Self::Styled(Style::Bold),
            "i" | "em" | "cite" | "dfn" | "var" => Self::Styled(Style::Italic),
            "u" | "ins" => Self::Styled(Style::Underline),
            "s" | "strike" | "del" => Self::Styled(Style::Strike),
            "tg-spoiler" => Self::Styled(Style::Spoiler),
            "code" | "kbd" | "samp" | "tt" => Self::Styled(Style::Code),
            "pre" => Self::StyledBlock(Style::Pre(None)),
            "blockquote" => {
                Self::StyledBlock(Style::Quote { expandable: tag.attribute("expandable").is_some() })
            }
            "br" => Self::LineBreak,
            "hr" => Self::Rule,
            "p" | "dl" => Self::Block(2),
            "article" | "aside" | "body" | "caption" | "center" | "dd" | "details" | "div" | "figcaption"
            | "figure" | "footer" | "head" | "header" | "html" | "main" | "nav" | "section" | "title" => {
                Self::Block(1)
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => Self::Heading(2),
            "dt" | "summary" => Self::Heading(1),
            "ol" => Self::List(true),
            "ul" | "menu" => Self::List(false),
            "li" => Self::Item,
            "table" => Self::Table,
            "tr" => Self::Row,
            "th" => Self::Cell(true),
            "td" => Self::Cell(false),
            "a" => Self::Link,
            "img" => Self::Image,
            "tg-emoji" => Self::Emoji,
            "span" => Self::Span,
            "sup" => Self::Superscript,
            "script" | "style" => Self::Hidden,
            "abbr" | "acronym" | "bdi" | "bdo" | "big" | "colgroup" | "font" | "mark" | "q" | "rp" | "rt"
            | "ruby" | "small" | "sub" | "tbody" | "tfoot" | "thead" | "tg-time" | "wbr" => Self::Ignored,
            "area" | "base" | "col" | "embed" | "input" | "link" | "meta" | "param" | "path" | "source"
            | "track" => Self::Widget { has_end: false },
            "address" | "audio" | "button" | "canvas" | "data" | "datalist" | "fieldset" | "form" | "g"
            | "iframe" | "label" | "legend" | "map" | "meter" | "noscript" | "object" | "optgroup"
            | "option" | "output" | "picture" | "progress" | "search" | "select" | "slot" | "svg"
            | "template" | "textarea" | "time" | "video" => Self::Widget { has_end: true },
            _ => return None,
        })
    }
}
