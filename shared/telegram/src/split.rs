//! Splits a long text into messages.

use unicode_segmentation::GraphemeCursor;

/// Telegram's limit: 4096 characters after entity parsing. This module counts the raw text in UTF-16 code
/// units, which are never fewer than the characters that Telegram counts. A part within this limit is
/// therefore within Telegram's.
pub const MAX_MESSAGE_UNITS: usize = 4_096;

/// The kinds of split positions, from the worst to the best. The last position of the best kind within the
/// limit is used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Border {
    Word,
    Line,
    Paragraph,
}

/// Splits `text` into parts of at most `limit` UTF-16 code units: at paragraph borders (an empty line), in a
/// long paragraph at line ends, then between words, then between characters (grapheme clusters, such as an
/// emoji of several code points, if they fit). White space at the splits and at both ends is dropped (Telegram
/// would trim it); all other characters are kept. A text of only white space has no parts.
///
/// Even with a `limit` below two, each part has at least one character, so that the loop ends.
pub fn split(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(cut(rest, limit, rest.len()));
        parts.push(part.trim_end());
        rest = after.trim_start();
    }
    parts
}

/// Returns the byte position where the first part of `text` ends: at most `limit` UTF-16 code units and at most
/// `max_bytes` bytes, but at least one character. `text` starts with a character that is not white space.
pub(crate) fn cut(text: &str, limit: usize, max_bytes: usize) -> usize {
    let mut units = 0;
    let mut best: Option<(Border, usize)> = None;
    // The current run of white space: its start and its number of line breaks so far.
    let mut run: Option<(usize, usize)> = None;
    for (at, ch) in text.char_indices() {
        if ch.is_whitespace() {
            let (start, lines) = run.unwrap_or((at, 0));
            let lines = lines + usize::from(ch == '\n');
            run = Some((start, lines));
            let border = match lines {
                0 => Border::Word,
                1 => Border::Line,
                _ => Border::Paragraph,
            };
            if best.is_none_or(|(kind, _)| border >= kind) {
                best = Some((border, start));
            }
            // A run that starts within the limit may end beyond it, because it is dropped at the split.
            if units <= limit {
                units += ch.len_utf16();
            }
            continue;
        }
        run = None;
        units += ch.len_utf16();
        if units > limit || at >= max_bytes {
            return match best {
                Some((_, start)) => start,
                None if at == 0 => ch.len_utf8(),
                None => grapheme_border(text, at),
            };
        }
    }
    text.len()
}

/// Returns the last border of a grapheme cluster up to `at`, or `at` itself within the first cluster.
fn grapheme_border(text: &str, at: usize) -> usize {
    let mut cursor = GraphemeCursor::new(at, text.len(), true);
    if cursor.is_boundary(text, 0) == Ok(true) {
        return at;
    }
    // The whole text is one chunk, so the cursor always knows its answer.
    cursor.prev_boundary(text, 0).ok().flatten().filter(|border| *border > 0).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> usize {
        text.encode_utf16().count()
    }

    fn solid(text: &str) -> String {
        text.chars().filter(|c| !c.is_whitespace()).collect()
    }

    #[test]
    fn a_short_text_is_one_part() {
        assert_eq!(split("hello", 10), ["hello"]);
        assert_eq!(split("  hello \n", 5), ["hello"]);
        assert_eq!(split("exactly10!", 10), ["exactly10!"]);
    }

    #[test]
    fn white_space_makes_no_message() {
        assert!(split("", 10).is_empty());
        assert!(split(" \n\t\n ", 2).is_empty());
    }

    #[test]
    fn paragraph_borders_are_preferred_to_lines_and_lines_to_words() {
        assert_eq!(split("a b\n\nc d\ne f", 9), ["a b", "c d\ne f"]);
        assert_eq!(split("a b\nc d e", 8), ["a b", "c d e"]);
        assert_eq!(split("aa bb cc", 6), ["aa bb", "cc"]);
        assert_eq!(split("aa\r\n\r\nbb cc", 8), ["aa", "bb cc"]);
    }

    #[test]
    fn a_part_contains_as_many_paragraphs_as_fit() {
        assert_eq!(split("one\n\ntwo\n\nthree", 9), ["one\n\ntwo", "three"]);
    }

    #[test]
    fn a_word_that_is_too_long_is_split_between_characters() {
        assert_eq!(split("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(split("ääää", 3), ["äää", "ä"]);
        assert_eq!(split("😀😀😀", 3), ["😀", "😀", "😀"]);
        assert_eq!(split("😀x", 1), ["😀", "x"]);
        assert_eq!(split("ab👩\u{200d}👩", 5), ["ab", "👩\u{200d}👩"]);
        assert_eq!(split("👩\u{200d}👩", 3), ["👩\u{200d}", "👩"]);
        assert_eq!(split("ab", 0), ["a", "b"]);
    }

    #[test]
    fn a_long_run_of_white_space_is_dropped_at_the_split() {
        assert_eq!(split(&format!("a{}b", " ".repeat(50)), 5), ["a", "b"]);
        assert_eq!(split(&format!("abcde{}\n\nb", " ".repeat(50)), 5), ["abcde", "b"]);
    }

    /// Checks a few thousand generated texts for every property that the reader of the parts relies on.
    #[test]
    fn parts_are_within_the_limit_and_lose_only_white_space() {
        let alphabet =
            ["a", "bc", "ä", "😀", "界", " ", " ", "\n", "\n\n", "\t", "\r\n", "e\u{301}", "</b>", "\u{a0}"];
        let mut state: u64 = 0x2545_f491_4f6c_dd1d;
        let mut draw = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % bound
        };
        for _ in 0..4_000 {
            let text: String = (0..draw(120)).map(|_| alphabet[draw(alphabet.len())]).collect();
            let limit = 2 + draw(40);
            let parts = split(&text, limit);
            for part in &parts {
                assert!(units(part) <= limit, "{part:?} > {limit} in {text:?}");
                assert!(!part.is_empty() && part.trim() == *part, "{part:?} in {text:?}");
            }
            assert_eq!(solid(&parts.concat()), solid(&text), "limit {limit}");
            if units(text.trim()) <= limit {
                assert!(parts.len() <= 1, "{text:?} fits {limit}");
            }
        }
    }
}
