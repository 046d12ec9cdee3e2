//! JSON text with broken characters.

use std::borrow::Cow;

/// The bytes of `\uXXXX`.
const ESCAPE_BYTES: usize = 6;

/// Replaces in JSON text each lone surrogate, and each sequence of bytes that is not UTF-8, by U+FFFD. Programs that cut a
/// text in the middle of a character send such text: `JSON.stringify` writes half an emoji as `\ud83d`, which is valid
/// JSON and no valid Unicode.
pub fn mended(json: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(json);
    let (mut at, mut copied, mut out) = (0, 0, String::new());
    while let Some(backslash) = text[at..].find('\\').map(|found| at + found) {
        match escaped_unit(&text, backslash) {
            Some(0xd800..=0xdbff)
                if matches!(escaped_unit(&text, backslash + ESCAPE_BYTES), Some(0xdc00..=0xdfff)) =>
            {
                at = backslash + 2 * ESCAPE_BYTES;
            }
            Some(0xd800..=0xdfff) => {
                out.push_str(&text[copied..backslash]);
                out.push_str("\\ufffd");
                at = backslash + ESCAPE_BYTES;
                copied = at;
            }
            // The backslash and the character after it: an escaped backslash begins no other escape.
            _ => at = backslash + 1 + text[backslash + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    if copied == 0 {
        return text;
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The UTF-16 code unit of the escape `\uXXXX` at `at`; `None` if there is no such escape.
fn escaped_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + ESCAPE_BYTES)?.strip_prefix("\\u")?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character() {
        for (given, expected) in [
            (r#""x \ud83d""#, r#""x \ufffd""#),
            (r#""\uDE00 x""#, r#""\ufffd x""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83dA""#, r#""\ufffdA""#),
            (r#""\ud83d\n""#, r#""\ufffd\n""#),
            (r#""\\\ud83d""#, r#""\\\ufffd""#),
        ] {
            assert_eq!(mended(given.as_bytes()), expected);
        }
        assert_eq!(mended(b"\"x \xed\xa0\xbd \xff\""), "\"x \u{fffd}\u{fffd}\u{fffd} \u{fffd}\"");
    }

    #[test]
    fn sound_text_is_not_copied_and_broken_json_stays_as_it_is() {
        for sound in [
            r#"{"a": "\ud83d\ude00 \\ud83d \u00e4 ä\" \\"}"#,
            r"\",
            r"\u",
            r"\ud8",
            r"\ud83",
            r"\u+83d",
            r"\ä\ud8ä3",
            "",
        ] {
            assert!(matches!(mended(sound.as_bytes()), Cow::Borrowed(text) if text == sound), "{sound}");
        }
    }
}
