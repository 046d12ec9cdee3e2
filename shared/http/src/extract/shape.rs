//! Errors of serde about a wrong shape, as refusals with a pointer.

use std::borrow::Cow;

use af_domain::refusal::Refusal;
use serde_path_to_error::{Path, Segment};

/// How many characters of an unknown name a refusal repeats.
const MAX_NAME_CHARS: usize = 128;

/// The refusal for an error of serde at `path`. It names types and fields, never values, because a value may be a
/// secret and refusals may be logged.
pub(super) fn refusal(path: &Path, message: &str) -> Refusal {
    let message = without_position(message);
    let mut pointer = pointer(path);
    if let Some(field) = named_field(message, "missing field `") {
        push(&mut pointer, field);
        return Refusal::field(pointer, format!("{field} is needed"));
    }
    if let Some(field) = named_field(message, "duplicate field `") {
        push_once(&mut pointer, field);
        return Refusal::field(pointer, format!("{field} is given more than once"));
    }
    if let Some(field) = named_field(message, "unknown field `") {
        let known = message
            .rsplit_once("`, expected ")
            .map_or_else(String::new, |(_, known)| format!(": expected {known}"));
        push_once(&mut pointer, field);
        return Refusal::field(pointer, format!("there is no field {}{known}", shortened(field)));
    }
    Refusal::field(pointer, without_values(message))
}

/// `message` without serde_json's position; the pointer is more precise.
fn without_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message)
}

fn named_field<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.strip_prefix(prefix)?.split_once('`').map(|(field, _)| field)
}

/// serde's "invalid type: string \"…\", expected u32" without the value, in the API's terms.
fn without_values(message: &str) -> String {
    let quotes = ["invalid type: ", "invalid value: ", "unknown variant ", "invalid length "];
    if !quotes.iter().any(|prefix| message.starts_with(prefix)) {
        return message.to_owned();
    }
    // The value comes first and may itself hold the separator, so the last one counts.
    let expected = message.rsplit_once(", expected ").map_or("another value", |(_, expected)| expected);
    format!("must be {}", in_api_words(expected))
}

fn in_api_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, zero or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ if expected.starts_with("enum ") => "one of the known kinds",
        _ => expected,
    }
}

fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

fn push(pointer: &mut String, token: &str) {
    pointer.push('/');
    pointer.push_str(&escape(&shortened(token)));
}

/// Appends the field unless the path ends with it: formats of serde differ in that.
fn push_once(pointer: &mut String, token: &str) {
    if !pointer.ends_with(&format!("/{}", escape(&shortened(token)))) {
        push(pointer, token);
    }
}

/// A name comes from the caller and may be as long as the body.
fn shortened(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(MAX_NAME_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
        None => Cow::Borrowed(name),
    }
}

/// RFC 6901, section 3.
fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
