//! The HTML of Telegram: which texts it accepts, and the visible text that is left after parsing.
//! Source: <https://core.telegram.org/bots/api#html-style>; the error texts are those of the Bot API.

/// The tags that Telegram knows, in a list of words.
const TAGS: &str = "a b strong i em s strike del u ins tg-spoiler tg-emoji span pre code blockquote";
/// The longest named or numeric entity after an `&`.
const MAX_ENTITY_BYTES: usize = 12;

/// Returns the visible text, or the reason why Telegram refuses it.
pub(super) fn visible(html: &str) -> Result<String, String> {
    let mut text = String::with_capacity(html.len());
    let mut open: Vec<&str> = Vec::new();
    let mut at = 0;
    while let Some(ch) = html[at..].chars().next() {
        match ch {
            '<' => {
                let end =
                    tag_end(html, at).ok_or_else(|| format!("Unclosed start tag at byte offset {at}"))?;
                tag(&html[at + 1..end], at, &mut open)?;
                at = end + 1;
            }
            '&' => {
                let (decoded, length) = entity(&html[at..]).unwrap_or(('&', 1));
                text.push(decoded);
                at += length;
            }
            _ => {
                text.push(ch);
                at += ch.len_utf8();
            }
        }
    }
    match open.pop() {
        Some(name) => Err(format!("Can't find end tag corresponding to start tag \"{name}\"")),
        None => Ok(text),
    }
}

/// Returns the end of the tag that starts at `at`: its `>` outside quoted values.
fn tag_end(html: &str, at: usize) -> Option<usize> {
    let mut quote = None;
    for (offset, byte) in html.as_bytes()[at..].iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + offset),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

/// Opens or closes a tag; `inside` is the text between `<` and `>`.
fn tag<'a>(inside: &'a str, at: usize, open: &mut Vec<&'a str>) -> Result<(), String> {
    if let Some(name) = inside.strip_prefix('/') {
        let name = name.trim();
        return match open.pop() {
            None => Err(format!("Unexpected end tag at byte offset {at}")),
            Some(expected) if name.is_empty() || expected.eq_ignore_ascii_case(name) => Ok(()),
            Some(expected) => Err(format!(
                "Unmatched end tag at byte offset {at}, expected \"</{expected}>\", found \"</{name}>\""
            )),
        };
    }
    let name = inside.split(|c: char| c.is_whitespace() || c == '=').next().unwrap_or_default();
    if !TAGS.split(' ').any(|tag| tag.eq_ignore_ascii_case(name)) {
        return Err(format!("Unsupported start tag \"{name}\" at byte offset {at}"));
    }
    open.push(name);
    Ok(())
}

/// The character that the entity at the start of `text` stands for, and the entity's length in bytes.
fn entity(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(MAX_ENTITY_BYTES).position(|byte| byte == b';')?;
    let decoded = match &text[1..end] {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        name => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((decoded, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_entities_are_not_visible() {
        assert_eq!(visible("<b>a</b> &lt;c&gt; &#228;&#xe4; & &nope; ü").unwrap(), "a <c> ää & &nope; ü");
        assert_eq!(visible(r#"<a href="x>y">link</a>"#).unwrap(), "link");
        assert_eq!(visible("<PRE><code class=\"language-rust\">x</></PRE>").unwrap(), "x");
    }

    #[test]
    fn html_that_telegram_refuses_is_refused_with_its_error_texts() {
        for (html, words) in [
            ("<x>", "Unsupported start tag \"x\" at byte offset 0"),
            ("1 < 2", "Unclosed start tag at byte offset 2"),
            ("a<b>b", "Can't find end tag corresponding to start tag \"b\""),
            ("</b>", "Unexpected end tag at byte offset 0"),
            ("<b>x</i>", "Unmatched end tag at byte offset 4, expected \"</b>\", found \"</i>\""),
            ("ü<>", "Unsupported start tag \"\" at byte offset 2"),
        ] {
            assert_eq!(visible(html).unwrap_err(), words);
        }
    }

    #[test]
    fn an_entity_cut_short_by_a_wide_character_is_text() {
        assert_eq!(visible("&äöüäöüäöü;").unwrap(), "&äöüäöüäöü;");
        assert_eq!(visible("&").unwrap(), "&");
    }
}
