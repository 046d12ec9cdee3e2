//! Character references of HTML: `&amp;`, `&eacute;`, `&#8217;`, `&#x2019;`.

use pulldown_cmark::{Event, Parser};

/// The longest reference of HTML is `&CounterClockwiseContourIntegral;`.
const MAX_REFERENCE_BYTES: usize = 33;

/// Replaces every reference that ends in `;` by its characters. All other text stays, also `&` and `&nope;`.
pub(super) fn decode(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let length =
            rest.bytes().take(MAX_REFERENCE_BYTES).position(|byte| byte == b';').map_or(1, |end| end + 1);
        let reference = &rest[..length];
        if !push_reference(reference, &mut decoded) {
            // The text behind `&` can hold the next reference.
            decoded.push('&');
            rest = &rest[1..];
            continue;
        }
        rest = &rest[length..];
    }
    decoded.push_str(rest);
    decoded
}

/// Appends the characters of a reference. Returns false if it is none.
fn push_reference(reference: &str, decoded: &mut String) -> bool {
    let Some(name) = reference.strip_prefix('&').and_then(|rest| rest.strip_suffix(';')) else {
        return false;
    };
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        let ch = code.ok().and_then(char::from_u32).filter(|ch| *ch != '\0');
        decoded.extend(ch);
        return ch.is_some();
    }
    let known = match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        "nbsp" => "\u{a0}",
        _ => return push_named(name, reference, decoded),
    };
    decoded.push_str(known);
    true
}

/// The Markdown parser has the full list of names, because Markdown allows the references of HTML.
fn push_named(name: &str, reference: &str, decoded: &mut String) -> bool {
    if !name.starts_with(|ch: char| ch.is_ascii_alphabetic())
        || !name.bytes().all(|b| b.is_ascii_alphanumeric())
    {
        return false;
    }
    let mut characters = String::new();
    for event in Parser::new(reference) {
        if let Event::Text(text) = event {
            characters.push_str(&text);
        }
    }
    let is_known = characters != reference;
    if is_known {
        decoded.push_str(&characters);
    }
    is_known
}
